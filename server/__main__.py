"""`python -m server`: settings from the command line or from SEETHROUGH_* variables, then `app.run`."""

import difflib
import inspect
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import typer

from bundle.preprocess import DEFAULT_MAX_PIXELS
from server import options
from server.config import (
    MIB,
    Device,
    EngineName,
    EngineProcess,
    PrecisionName,
    Settings,
    StartError,
    available_cores,
)
from server.processes.start import log_to_stderr

PREFIX = "SEETHROUGH_"
# Variables of this prefix that belong to our other programs.
_FOREIGN = {"SEETHROUGH_TARGET"}

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
    instances: options.Instances = 1,
    engine_seconds: options.EngineSeconds = 30.0,
    decode_threads: options.DecodeThreads = 0,
    max_batch: options.MaxBatch = 0,
    max_inflight_images: options.MaxInflightImages = 512,
    max_inflight_mib: options.MaxInflightMib = 256,
    shed_explanations_first: options.ShedExplanationsFirst = True,
    max_request_mib: options.MaxRequestMib = 32,
    max_image_pixels: options.MaxImagePixels = DEFAULT_MAX_PIXELS,
    processes: options.Processes = 1,
    engine_process: options.EngineProcessOption = EngineProcess.AUTO,
    grace_seconds: options.GraceSeconds = 3.0,
    drain_seconds: options.DrainSeconds = 30.0,
    log_level: options.LogLevel = "info",
) -> None:
    """Serve model bundles, with Grad-CAM explanations, over gRPC and HTTP.

    Every option can be set as a variable: --max-batch is SEETHROUGH_MAX_BATCH. A first SIGTERM or Ctrl-C finishes what is in
    work, a second one stops at once.
    """
    _check(models, log_level)
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
        instances=instances,
        engine_seconds=engine_seconds,
        shed_explanations_first=shed_explanations_first,
    )
    _run(settings, log_level)


def _check(models: Path, log_level: str) -> None:
    _refuse_unknown_variables(os.environ)
    _start_log(log_level)
    if not models.is_dir():
        raise typer.BadParameter(f"{models} is not a folder; export a model there first", param_hint="--models")


def _run(settings: Settings, log_level: str) -> None:
    """Serves here, or from several processes of which this one is the supervisor: then it needs none of what they need."""
    try:
        if settings.processes > 1 or settings.engine_process is EngineProcess.ON:
            from server.processes import supervisor

            raise typer.Exit(supervisor.run(settings, log_level))
        from server import app

        app.run(settings)
    except StartError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _start_log(level: str) -> None:
    names = ("debug", "info", "warning", "error")
    if level.lower() not in names:
        raise typer.BadParameter(f"{level!r} is not one of {', '.join(names)}", param_hint="--log-level")
    log_to_stderr(level)


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
