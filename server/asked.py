"""What the command line and OpenTelemetry's variables ask for, checked before anything starts. Nothing heavy is imported for it."""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

import typer

from server.config import Traces

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


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
