"""The options of `python -m server`, each explained by its effect."""

from pathlib import Path
from typing import Annotated

import typer

from server.config import Device, EngineName, EngineProcess, PrecisionName

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
Instances = Annotated[
    int,
    typer.Option(
        help="Engines of each model that run beside each other and divide the cores. More than one gives more throughput when other work "
        "keeps the cores busy or a GPU waits for its data, and a lone caller waits longer; each takes its own memory.",
        min=1,
        max=64,
    ),
]
EngineSeconds = Annotated[
    float,
    typer.Option(
        help="A run of an engine that takes longer is given up: its callers get INTERNAL, and the engine is built anew.",
        min=0.1,
    ),
]
ShedExplanationsFirst = Annotated[
    bool,
    typer.Option(help="Refuse requests that ask for explanations from three quarters of the limit on, before others."),
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
