"""`python -m server`: settings from the command line or from SEETHROUGH_* variables, then `app.run`."""

import difflib
import inspect
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import typer

from bundle.limits import DEFAULT_MAX_PIXELS, FORMATS
from server import asked, options
from server.config import (
    MIB,
    Bounds,
    Device,
    EngineName,
    EngineProcess,
    Evidence,
    LogFormat,
    PrecisionName,
    Reload,
    Security,
    Settings,
    StartError,
    Traces,
    available_cores,
)
from server.evidence import logs
from server.transport.security.check import check

PREFIX = "SEETHROUGH_"
_ALL_FORMATS = ",".join(FORMATS).lower()
# Variables of this prefix that belong to our other programs.
_FOREIGN = {PREFIX + name for name in ("TARGET", "TLS", "CA", "CERT", "KEY", "TOKEN")}

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@cli.command(context_settings={"auto_envvar_prefix": "SEETHROUGH"})
def main(
    models: options.Models,
    model_name: options.ModelName = "",
    host: options.Host = "0.0.0.0",  # noqa: S104  a server in a container is reached from outside
    grpc_port: options.GrpcPort = 8001,
    http_port: options.HttpPort = 8000,
    device: options.DeviceOption = Device.AUTO,
    engine: options.EngineOption = EngineName.AUTO,
    precision: options.PrecisionOption = PrecisionName.AUTO,
    threads: options.Threads = 0,
    decode_threads: options.DecodeThreads = 0,
    max_batch: options.MaxBatch = 0,
    max_inflight_images: options.MaxInflightImages = 512,
    max_inflight_mib: options.MaxInflightMib = 256,
    max_request_mib: options.MaxRequestMib = 32,
    max_image_pixels: options.MaxImagePixels = DEFAULT_MAX_PIXELS,
    image_formats: options.ImageFormats = _ALL_FORMATS,
    decode_seconds: options.DecodeSeconds = 5.0,
    max_connections: options.MaxConnections = 1000,
    max_reading_mib: options.MaxReadingMib = 256,
    max_connection_age: options.MaxConnectionAge = 0.0,
    watch: options.Watch = True,
    watch_seconds: options.WatchSeconds = 2.0,
    keep_versions: options.KeepVersions = 0,
    processes: options.Processes = 1,
    engine_process: options.EngineProcessOption = EngineProcess.AUTO,
    grace_seconds: options.GraceSeconds = 3.0,
    drain_seconds: options.DrainSeconds = 30.0,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    client_ca: options.ClientCa = None,
    token_file: options.TokenFile = None,
    admin_token_file: options.AdminTokenFile = None,
    metrics_need_token: options.MetricsNeedToken = False,
    probe_port: options.ProbePort = None,
    log_level: options.LogLevel = "info",
    log_format: options.LogFormatOption = LogFormat.TEXT,
    log_requests: options.LogRequests = 0.0,
    traces: options.TracesOption = Traces.AUTO,
    trace_rate: options.TraceRate = None,
    record: options.Record = None,
    record_rate: options.RecordRate = 0.01,
    record_max_mib: options.RecordMaxMib = 1024,
) -> None:
    """Serve model bundles, with Grad-CAM explanations, over gRPC and HTTP.

    Every option can be set as a variable: --max-batch is SEETHROUGH_MAX_BATCH. A first SIGTERM or Ctrl-C finishes what is in
    work, a second one stops at once.
    """
    evidence = Evidence(
        log_level=log_level,
        log_format=log_format,
        log_rate=log_requests,
        traces=asked.traces(traces, os.environ),
        trace_rate=trace_rate,
        record=asked.folder(record),
        record_rate=record_rate,
        record_max_bytes=record_max_mib * MIB,
    )
    _check(models, evidence)
    security = Security(tls_cert, tls_key, client_ca, token_file, admin_token_file, metrics_need_token)
    _check_security(security, host)
    settings = Settings(
        models=models,
        model_name=model_name,
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        device=device,
        engine=engine,
        precision=precision,
        threads=threads,
        decode_threads=decode_threads or max(1, available_cores() // processes),
        max_batch=max_batch,
        max_inflight_images=max_inflight_images,
        max_inflight_bytes=max_inflight_mib * MIB,
        max_request_bytes=max_request_mib * MIB,
        max_image_pixels=max_image_pixels,
        grace_seconds=grace_seconds,
        drain_seconds=drain_seconds,
        processes=processes,
        engine_process=engine_process,
        probe_port=probe_port,
        security=security,
        evidence=evidence,
        reload=Reload(watch_seconds if watch else 0.0, keep_versions),
        bounds=Bounds(
            _formats(image_formats), decode_seconds, max_connections, max_reading_mib * MIB, max_connection_age
        ),
    )
    _run(settings)


def _check(models: Path, evidence: Evidence) -> None:
    _refuse_unknown_variables(os.environ)
    _start_log(evidence)
    if not models.is_dir():
        raise typer.BadParameter(f"{models} is not a folder; export a model there first", param_hint="--models")


def _formats(given: str) -> tuple[str, ...]:
    """The formats of a list with commas, by Pillow's names for them."""
    formats = tuple(name.strip().upper() for name in given.split(","))
    if unknown := [name for name in formats if name not in FORMATS]:
        raise typer.BadParameter(f"{unknown[0].lower()!r} is not one of {_ALL_FORMATS}", param_hint="--image-formats")
    return formats


def _check_security(security: Security, host: str) -> None:
    try:
        check(security, host)
    except StartError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def _run(settings: Settings) -> None:
    """Serves here, or from several processes of which this one is the supervisor: then it needs none of what they need."""
    try:
        if settings.processes > 1 or settings.engine_process is EngineProcess.ON:
            from server.processes import supervisor

            raise typer.Exit(supervisor.run(settings))
        from server import app

        app.run(settings)
    except StartError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _start_log(evidence: Evidence) -> None:
    names = ("debug", "info", "warning", "error")
    if evidence.log_level.lower() not in names:
        raise typer.BadParameter(f"{evidence.log_level!r} is not one of {', '.join(names)}", param_hint="--log-level")
    logs.start(evidence)


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """A misspelt variable would otherwise leave a setting at its default without a word."""
    known = {PREFIX + name.upper() for name in inspect.signature(main).parameters} | _FOREIGN
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            raise typer.BadParameter(f"unknown variable {name}; {_suggest(name, known)}", param_hint="environment")


def _suggest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"


if __name__ == "__main__":
    cli(prog_name="python -m server")
