"""`python -m server`: settings from the command line or from SEETHROUGH_* variables, then `app.run`."""

import difflib
import inspect
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from bundle.preprocess import DEFAULT_MAX_PIXELS
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


Models = Annotated[
    Path,
    typer.Option(
        help="Folder of bundles: DIR/NAME/VERSION/; of one model DIR/VERSION/, or a bundle itself.", metavar="DIR"
    ),
]
ModelName = Annotated[
    str, typer.Option(help="Name of the model when DIR is only one model; without it, the name of DIR.", metavar="NAME")
]
Host = Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 keeps the server to this machine.")]
GrpcPort = Annotated[int, typer.Option(help="Port for gRPC; 0 takes a free one.", min=0, max=65535)]
HttpPort = Annotated[
    int,
    typer.Option(
        help="Port for HTTP: the same models, /metrics, /livez, /readyz; 0 takes a free one.", min=0, max=65535
    ),
]
DeviceOption = Annotated[Device, typer.Option(help="Where to infer; auto takes a GPU if there is one.")]
EngineOption = Annotated[
    EngineName,
    typer.Option(
        help="What runs the graphs; auto measures at the start which is faster here. A GPU takes onnxruntime."
    ),
]
PrecisionOption = Annotated[
    PrecisionName,
    typer.Option(
        help="In which arithmetic; auto takes the fastest here of those that agree with the trained model as often as the "
        "bundle's manifest demands."
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        help="Cores for one run of the engine; 0 takes all that the process may use, or one for tiny networks.", min=0
    ),
]
DecodeThreads = Annotated[
    int, typer.Option(help="Pictures decoded or drawn at the same time; 0 means one for each core.", min=0)
]
MaxBatch = Annotated[
    int,
    typer.Option(
        help="Most images in one run; 0 takes 32 on a GPU, and on CPUs as many of them as take a tenth of a second, where more would cost "
        "memory and everyone's latency and bring nothing.",
        min=0,
    ),
]
MaxInflightImages = Annotated[
    int, typer.Option(help="Images in work before callers are refused with RESOURCE_EXHAUSTED.", min=1)
]
MaxInflightMib = Annotated[
    int, typer.Option(help="MiB of requests in work before callers are refused: the bound on memory.", min=1)
]
MaxRequestMib = Annotated[
    int, typer.Option(help="Largest request in MiB; larger ones are refused unread.", min=1, max=2000)
]
MaxImagePixels = Annotated[
    int, typer.Option(help="Largest picture in pixels, checked on its header before decoding.", min=1)
]
Processes = Annotated[
    int,
    typer.Option(
        help="Serving processes on the same ports, for machines with more cores than one Python process can keep busy. They divide the "
        "cores among them; the limits on images and MiB in work hold for each process, because connections are not spread evenly.",
        min=1,
        max=64,
    ),
]
EngineProcessOption = Annotated[
    EngineProcess,
    typer.Option(
        help="on: the serving processes decode, and one process more runs the engine for all of them, in larger batches; pixels go to it "
        "through shared memory. off: each has its own engine. auto: on for a GPU with --processes above 1."
    ),
]
GraceSeconds = Annotated[
    float, typer.Option(help="After SIGTERM, how long to go on taking calls while load balancers notice.", min=0)
]
DrainSeconds = Annotated[float, typer.Option(help="After the grace, how long calls in work may take to finish.", min=0)]
LogLevel = Annotated[str, typer.Option(help="debug, info, warning or error.")]


@cli.command(context_settings={"auto_envvar_prefix": "SEETHROUGH"})
def main(
    models: Models,
    model_name: ModelName = "",
    host: Host = "0.0.0.0",  # noqa: S104  a server in a container is reached from outside
    grpc_port: GrpcPort = 8001,
    http_port: HttpPort = 8000,
    device: DeviceOption = Device.AUTO,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionName.AUTO,
    threads: Threads = 0,
    decode_threads: DecodeThreads = 0,
    max_batch: MaxBatch = 0,
    max_inflight_images: MaxInflightImages = 512,
    max_inflight_mib: MaxInflightMib = 256,
    max_request_mib: MaxRequestMib = 32,
    max_image_pixels: MaxImagePixels = DEFAULT_MAX_PIXELS,
    processes: Processes = 1,
    engine_process: EngineProcessOption = EngineProcess.AUTO,
    grace_seconds: GraceSeconds = 3.0,
    drain_seconds: DrainSeconds = 30.0,
    log_level: LogLevel = "info",
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
