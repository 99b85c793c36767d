"""What the command line and OpenTelemetry's variables ask for, checked before anything starts, as settings. Nothing heavy is imported."""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

import typer

from bundle.limits import FORMATS
from server.config import MIB, Bounds, Evidence, Reload, Security, Settings, Traces, available_cores
from server.options import ALL_FORMATS, Options
from server.transport.security.check import check

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"
_LEVELS = ("debug", "info", "warning", "error")


def settings(given: Options, told: Evidence) -> Settings:
    """The settings that the options mean, with what `evidence` made of some of them. Raises typer.BadParameter, StartError for certificates and tokens that are no good."""
    if not given.models.is_dir():
        raise typer.BadParameter(f"{given.models} is not a folder; export a model there first", param_hint="--models")
    security = _security(given)
    check(security, given.host)
    return Settings(
        models=given.models,
        model_name=given.model_name,
        host=given.host,
        grpc_port=given.grpc_port,
        http_port=given.http_port,
        device=given.device,
        engine=given.engine,
        precision=given.precision,
        threads=given.threads,
        decode_threads=given.decode_threads or max(1, available_cores() // given.processes),
        max_batch=given.max_batch,
        max_inflight_images=given.max_inflight_images,
        max_inflight_bytes=given.max_inflight_mib * MIB,
        max_request_bytes=given.max_request_mib * MIB,
        max_image_pixels=given.max_image_pixels,
        grace_seconds=given.grace_seconds,
        drain_seconds=given.drain_seconds,
        processes=given.processes,
        engine_process=given.engine_process,
        instances=given.instances,
        engine_seconds=given.engine_seconds,
        shed_explanations_first=given.shed_explanations_first,
        probe_port=given.probe_port,
        security=security,
        evidence=told,
        reload=Reload(given.watch_seconds if given.watch else 0.0, given.keep_versions),
        bounds=_bounds(given),
        page=given.page,
    )


def evidence(given: Options, environment: Mapping[str, str]) -> Evidence:
    """What is to be logged, traced and recorded. Raises typer.BadParameter."""
    if given.log_level.lower() not in _LEVELS:
        raise typer.BadParameter(f"{given.log_level!r} is not one of {', '.join(_LEVELS)}", param_hint="--log-level")
    return Evidence(
        log_level=given.log_level,
        log_format=given.log_format,
        log_rate=given.log_requests,
        traces=traces(given.traces, environment),
        trace_rate=given.trace_rate,
        record=folder(given.record),
        record_rate=given.record_rate,
        record_max_bytes=given.record_max_mib * MIB,
    )


def _security(given: Options) -> Security:
    return Security(
        given.tls_cert,
        given.tls_key,
        given.client_ca,
        given.token_file,
        given.admin_token_file,
        given.metrics_need_token,
    )


def _bounds(given: Options) -> Bounds:
    formats = _formats(given.image_formats)
    most = given.max_reading_mib * MIB
    return Bounds(formats, given.decode_seconds, given.max_connections, most, given.max_connection_age)


def _formats(given: str) -> tuple[str, ...]:
    """The formats of a list with commas, by Pillow's names for them."""
    formats = tuple(name.strip().upper() for name in given.split(","))
    if unknown := [name for name in formats if name not in FORMATS]:
        raise typer.BadParameter(f"{unknown[0].lower()!r} is not one of {ALL_FORMATS}", param_hint="--image-formats")
    return formats


def traces(option: Traces, environment: Mapping[str, str]) -> bool:
    """Whether calls are to be traced. Raises typer.BadParameter when they are, and cannot be.

    Variables: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    if option is Traces.OFF or (option is Traces.AUTO and not _by_variable(environment)):
        return False
    if not _installed():
        raise typer.BadParameter(
            "OpenTelemetry is not installed; pip install 'seethrough[otel]', or say --traces off", param_hint="--traces"
        )
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _SPOKEN)
    if protocol != _SPOKEN:
        raise typer.BadParameter(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, spoken is {_SPOKEN}, by custom on port 4318",
            param_hint="--traces",
        )
    return True


def folder(path: Path | None) -> Path | None:
    """The folder to record into, made if it is not there, for this user only. Raises typer.BadParameter."""
    if path is None:
        return None
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be made: {error.strerror}", param_hint="--record") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise typer.BadParameter(f"{path} cannot be written to by this user", param_hint="--record")
    return path.resolve()


def _by_variable(environment: Mapping[str, str]) -> bool:
    off = (
        environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        or environment.get("OTEL_TRACES_EXPORTER") == "none"
    )
    return not off and any(environment.get(name) for name in _ENDPOINTS)


def _installed() -> bool:
    try:
        found = [
            importlib.util.find_spec(name)
            for name in ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
        ]
    except ModuleNotFoundError:
        return False
    return None not in found
