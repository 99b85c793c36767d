"""The options of `python -m server`, each explained by its effect: names, defaults and what `--help` says, in its order."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bundle.limits import DEFAULT_MAX_PIXELS, FORMATS
from server.config import Device, EngineName, EngineProcess, LogFormat, PrecisionName, Traces

ALL_FORMATS = ",".join(FORMATS).lower()


@dataclass(frozen=True)
class Options:
    """In the order of `--help`."""

    models: Annotated[
        Path,
        typer.Option(
            help="Folder of bundles: DIR/NAME/VERSION/; of one model DIR/VERSION/, or a bundle itself.", metavar="DIR"
        ),
    ]
    model_name: Annotated[
        str,
        typer.Option(help="Name of the model when DIR is only one model; without it, the name of DIR.", metavar="NAME"),
    ] = ""
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 keeps the server to this machine.")] = (
        "0.0.0.0"  # noqa: S104  a server in a container is reached from outside
    )
    grpc_port: Annotated[int, typer.Option(help="Port for gRPC; 0 takes a free one.", min=0, max=65535)] = 8001
    http_port: Annotated[
        int,
        typer.Option(
            help="Port for HTTP: the same models, /metrics, /livez, /readyz; 0 takes a free one.", min=0, max=65535
        ),
    ] = 8000
    page: Annotated[
        bool,
        typer.Option(
            "--page/--no-page",
            help="Serve a page for people at / of the HTTP port: drop a picture, see the answer and its evidence. --no-page: that path is unknown.",
        ),
    ] = True
    device: Annotated[Device, typer.Option(help="Where to infer; auto takes a GPU if there is one.")] = Device.AUTO
    engine: Annotated[
        EngineName,
        typer.Option(
            help="What runs the graphs; auto measures at the start which is faster here. A GPU takes onnxruntime."
        ),
    ] = EngineName.AUTO
    precision: Annotated[
        PrecisionName,
        typer.Option(
            help="In which arithmetic; auto takes the fastest here of those that agree with the trained model as often as the "
            "bundle's manifest demands."
        ),
    ] = PrecisionName.AUTO
    threads: Annotated[
        int,
        typer.Option(
            help="Cores for one run of the engine; 0 takes all that the process may use, or one for tiny networks.",
            min=0,
        ),
    ] = 0
    instances: Annotated[
        int,
        typer.Option(
            help="Engines of each model that run beside each other and divide the cores. More than one gives more throughput when other work "
            "keeps the cores busy or a GPU waits for its data, and a lone caller waits longer; each takes its own memory.",
            min=1,
            max=64,
        ),
    ] = 1
    engine_seconds: Annotated[
        float,
        typer.Option(
            help="A run of an engine that takes longer is given up: its callers get INTERNAL, and the engine is built anew.",
            min=0.1,
        ),
    ] = 30.0
    decode_threads: Annotated[
        int, typer.Option(help="Pictures decoded or drawn at the same time; 0 means one for each core.", min=0)
    ] = 0
    max_batch: Annotated[
        int,
        typer.Option(
            help="Most images in one run; 0 takes 32 on a GPU, and on CPUs as many of them as take a tenth of a second, where more would cost "
            "memory and everyone's latency and bring nothing.",
            min=0,
        ),
    ] = 0
    max_inflight_images: Annotated[
        int, typer.Option(help="Images in work before callers are refused with RESOURCE_EXHAUSTED.", min=1)
    ] = 512
    max_inflight_mib: Annotated[
        int, typer.Option(help="MiB of requests in work before callers are refused: the bound on memory.", min=1)
    ] = 256
    shed_explanations_first: Annotated[
        bool,
        typer.Option(
            help="Refuse requests that ask for explanations from three quarters of the limit on, before others."
        ),
    ] = True
    max_request_mib: Annotated[
        int, typer.Option(help="Largest request in MiB; larger ones are refused unread.", min=1, max=2000)
    ] = 32
    max_image_pixels: Annotated[
        int, typer.Option(help="Largest picture in pixels, checked on its header before decoding.", min=1)
    ] = DEFAULT_MAX_PIXELS
    image_formats: Annotated[
        str,
        typer.Option(
            help="Which picture files are opened at all, of jpeg, png, webp, gif, bmp and tiff; others are refused with INVALID_ARGUMENT.",
            metavar="LIST",
        ),
    ] = ALL_FORMATS
    decode_seconds: Annotated[
        float,
        typer.Option(
            help="Processor time for decoding one picture, after which it is refused with INVALID_ARGUMENT.", min=0.1
        ),
    ] = 5.0
    max_connections: Annotated[
        int, typer.Option(help="Connections to each of the two ports; more are closed as they come.", min=1)
    ] = 1000
    max_reading_mib: Annotated[
        int,
        typer.Option(
            help="MiB of HTTP requests that are being read or worked on, over all connections; beyond it, HTTP callers are refused with 429.",
            min=1,
        ),
    ] = 256
    max_connection_age: Annotated[
        float,
        typer.Option(
            help="Seconds after which a gRPC connection is ended once its calls are, so that clients spread over new servers; 0: never.",
            min=0,
        ),
    ] = 0.0
    watch: Annotated[
        bool,
        typer.Option(
            "--watch/--no-watch",
            help="Follow the folder of models: load versions that come and change, beside what is in service, and retire those that go. "
            "--no-watch: only when asked to load or unload.",
        ),
    ] = True
    watch_seconds: Annotated[
        float,
        typer.Option(
            help="From one look at the folder to the next; a copy is loaded when two looks find it the same.", min=0.01
        ),
    ] = 2.0
    keep_versions: Annotated[
        int,
        typer.Option(
            help="Keep this many of each model's versions in service, the highest ones, and those that versions.toml names; older ones retire "
            "when a newer one is good. 0 keeps all.",
            min=0,
        ),
    ] = 0
    processes: Annotated[
        int,
        typer.Option(
            help="Serving processes on the same ports, for machines with more cores than one Python process can keep busy. They divide the "
            "cores among them; the limits on images and MiB in work hold for each process, because connections are not spread evenly.",
            min=1,
            max=64,
        ),
    ] = 1
    engine_process: Annotated[
        EngineProcess,
        typer.Option(
            help="on: the serving processes decode, and one process more runs the engine for all of them, in larger batches; pixels go to it "
            "through shared memory. off: each has its own engine. auto: on for a GPU with --processes above 1."
        ),
    ] = EngineProcess.AUTO
    grace_seconds: Annotated[
        float, typer.Option(help="After SIGTERM, how long to go on taking calls while load balancers notice.", min=0)
    ] = 3.0
    drain_seconds: Annotated[
        float, typer.Option(help="After the grace, how long calls in work may take to finish.", min=0)
    ] = 30.0
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            help="Certificate of the server in PEM form, those of its authorities behind it: both ports speak TLS only. A new file is taken for "
            "the connections that begin from then on.",
            metavar="FILE",
        ),
    ] = None
    tls_key: Annotated[
        Path | None, typer.Option(help="Private key of that certificate, in PEM form.", metavar="FILE")
    ] = None
    client_ca: Annotated[
        Path | None,
        typer.Option(
            help="Authorities in PEM form: only clients with a certificate of one of them can connect (mutual TLS), probes and Prometheus "
            "included; --probe-port is for those.",
            metavar="FILE",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="Tokens, one on a line, each after its name: every call but health and metrics needs one, as `authorization: Bearer TOKEN`. A "
            "changed file is obeyed from the next call on.",
            metavar="FILE",
        ),
    ] = None
    admin_token_file: Annotated[
        Path | None,
        typer.Option(
            help="Tokens that may load and unload models, and everything else. Without it, and with --token-file, nobody may.",
            metavar="FILE",
        ),
    ] = None
    metrics_need_token: Annotated[
        bool,
        typer.Option(
            "--metrics-need-token", help="Ask for a token at /metrics, too; --probe-port does not have it then."
        ),
    ] = False
    probe_port: Annotated[
        int | None,
        typer.Option(
            help="One port more, plain HTTP with /livez, /readyz and /metrics only, for a kubelet or a Prometheus that has no client certificate; "
            "0 takes a free one.",
            min=0,
            max=65535,
        ),
    ] = None
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info"
    log_format: Annotated[
        LogFormat,
        typer.Option(
            help="text: lines for people. json: one object a line, with the request id and the trace id where there are."
        ),
    ] = LogFormat.TEXT
    log_requests: Annotated[
        float,
        typer.Option(
            help="Share of calls, 0 to 1, that get a line in the log. Which ones, their request id or trace id decides, in every server alike. "
            "What fails through the server's fault is always logged.",
            min=0,
            max=1,
            metavar="RATE",
        ),
    ] = 0.0
    traces: Annotated[
        Traces,
        typer.Option(
            help="on: send an OpenTelemetry span of each call and each of its stages to a collector, by OTLP over HTTP, as the OTEL_* variables "
            "say. auto: on when OTEL_EXPORTER_OTLP_ENDPOINT is set."
        ),
    ] = Traces.AUTO
    trace_rate: Annotated[
        float | None,
        typer.Option(
            help="Share of calls, 0 to 1, that are traced when the caller has not decided it; without it, what OTEL_TRACES_SAMPLER says, or all.",
            min=0,
            max=1,
            metavar="RATE",
        ),
    ] = None
    record: Annotated[
        Path | None,
        typer.Option(
            help="Folder to keep pictures and their answers in, to label and train with later. They may be personal data: files are readable "
            "by the server's own user only.",
            metavar="DIR",
        ),
    ] = None
    record_rate: Annotated[
        float, typer.Option(help="Share of calls, 0 to 1, whose pictures are kept.", min=0, max=1, metavar="RATE")
    ] = 0.01
    record_max_mib: Annotated[
        int, typer.Option(help="Most MiB to keep; the oldest records make room for new ones.", min=1, metavar="N")
    ] = 1024
