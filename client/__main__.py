"""`python -m client`: classify pictures and list models from a shell."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import grpc
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from client import pictures, report, sheet
from client.client import DEFAULT_TARGET, Client
from client.errors import ClassifyError
from client.overlays import OverlayFolder
from client.pictures import Picture
from client.report import Row
from client.results import Explain, HeatmapFormat, ModelInfo, ModelState, Rank
from client.truth import Truth
from client.work import Answered, Job, classify_all

SHEET = "contact-sheet.png"
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_HANDFUL = 5  # up to here a progress bar only flickers
_PIPE_WIDTH = 200  # columns of a table that no terminal limits

cli = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, help="Ask a Seethrough server.")

Target = Annotated[
    str,
    typer.Option(help="Address of the server, host:port.", envvar="SEETHROUGH_TARGET", show_envvar=True),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line instead of a table.")]
Timeout = Annotated[float, typer.Option(help="Seconds after which one call is given up.", min=0.001)]


Files = Annotated[list[str], typer.Argument(help="Pictures, folders of them, or - for standard input.")]
Model = Annotated[str, typer.Option(help="Name of the model that shall answer.")]
Version = Annotated[int, typer.Option(help="Version of the model; 0 takes the highest one in service.", min=0)]
Top = Annotated[int, typer.Option(help="Show this many classes, most probable first.", min=1)]
ExplainFlag = Annotated[
    bool, typer.Option("--explain", help="Show where the evidence lies: as overlays with --out, else in words.")
]
Classes = Annotated[
    list[str] | None,
    typer.Option("--class", help="Explain this class instead of the answer; repeatable; implies --explain."),
]
Method = Annotated[
    str,
    typer.Option(help="Which of the model's explanations to take, its first by default; implies --explain."),
]
Out = Annotated[Path | None, typer.Option(help=f"Write overlays and {SHEET} into this folder; needs --explain.")]
TruthTable = Annotated[
    Path | None,
    typer.Option(help="CSV table with the columns file,label: adds the truth, marks errors, gives the accuracy."),
]
Batch = Annotated[int, typer.Option(help="Pictures in one call; more save overhead.", min=1)]
Concurrency = Annotated[int, typer.Option(help="Calls at the same time; more keep the server busy.", min=1)]


@cli.command()
def classify(
    files: Files,
    model: Model,
    version: Version = 0,
    top: Top = 1,
    explain: ExplainFlag = False,
    classes: Classes = None,
    method: Method = "",
    out: Out = None,
    truth: TruthTable = None,
    json: Json = False,
    target: Target = DEFAULT_TARGET,
    batch: Batch = 8,
    concurrency: Concurrency = 4,
    timeout: Timeout = 30.0,
) -> None:
    """Classify pictures; the exit status is 1 if one of them failed."""
    explain = explain or bool(classes) or bool(method)
    if out is not None and not explain:
        raise typer.BadParameter("writes overlays, so it needs --explain", param_hint="--out")
    found, known = _inputs(files, truth)
    targets = tuple(classes) if classes else (Rank(0),)
    wanted = Explain(targets, _form(out), method) if explain else None
    job = Job(model, version, top, wanted, batch, concurrency)
    with Client(target, timeout=timeout) as client:
        info = _model(client, model, version)
        if unknown := set(classes or ()) - set(info.labels):
            hint = f"{', '.join(sorted(unknown))}: not a class of {model}; there are: {', '.join(info.labels)}"
            raise typer.BadParameter(hint, param_hint="--class")
        if method and method not in info.explanations:
            hint = f"{method}: {model} explains by {', '.join(info.explanations)}"
            raise typer.BadParameter(hint, param_hint="--method")
        rows: list[Row] = []
        try:
            _collect(rows, client, found, job, out, known, json)
        except KeyboardInterrupt:
            _say(f"interrupted after {len(rows)} of {len(found)} pictures")
    _conclude(rows, info, out, json)
    if len(rows) < len(found):
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(any(not row.result.ok for row in rows))


@cli.command()
def models(json: Json = False, target: Target = DEFAULT_TARGET, timeout: Timeout = 30.0) -> None:
    """List every version of every model on the server, and why those that were refused were."""
    with Client(target, timeout=timeout) as client:
        try:
            infos = client.models()
        except ClassifyError as error:
            _give_up(client, error)
    if json:
        for info in infos:
            typer.echo(report.model_line(info))
    else:
        _terminal().print(report.models(infos))


def _form(out: Path | None) -> HeatmapFormat:
    return HeatmapFormat.GRID if out is None else HeatmapFormat.OVERLAY_PNG


def _inputs(files: list[str], truth: Path | None) -> tuple[list[Picture], Truth | None]:
    try:
        return pictures.find(files), None if truth is None else Truth(truth)
    except OSError as error:
        raise typer.BadParameter(f"{error.filename}: {error.strerror}", param_hint="--truth") from error
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _model(client: Client, name: str, version: int) -> ModelInfo:
    """Asked first, so that a wrong address or name is one line and not one for each picture."""
    try:
        info = client.get_model(name, version)
    except ClassifyError as error:
        _give_up(client, error)
    if info.state is not ModelState.SERVING:
        _say(f"error: {info.name} version {info.version} is not in service: {info.reason or info.state}")
        raise typer.Exit(1)
    return info


def _collect(
    rows: list[Row], client: Client, found: list[Picture], job: Job, out: Path | None, truth: Truth | None, json: bool
) -> None:
    """Fills `rows` as answers arrive, so that they are there when Ctrl-C ends it; JSON is printed at once."""
    folder = None if out is None else OverlayFolder(out)
    for picture, result in _with_progress(classify_all(client, found, job), len(found)):
        overlays = tuple(folder.save(picture, each) for each in result.explanations) if folder else ()
        rows.append(Row(picture, result, truth.of(picture) if truth else None, overlays))
        if json:
            typer.echo(report.json_line(rows[-1]))


def _with_progress(answers: Iterator[Answered], total: int) -> Iterator[Answered]:
    quiet = total <= _HANDFUL or not sys.stderr.isatty()
    columns = ("classifying", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        yield from progress.track(answers, total)


def _conclude(rows: list[Row], info: ModelInfo, out: Path | None, json: bool) -> None:
    if not json:
        _terminal().print(report.answers(rows))
    line = report.summary(rows)
    _say(line)
    if out is not None and any(row.overlays for row in rows):
        page = sheet.draw(rows, f"{info.name}, version {info.version}", line)
        (out / SHEET).write_bytes(sheet.to_png(page))
        _say(f"overlays and {SHEET} are in {out}")


def _terminal() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _give_up(client: Client, error: ClassifyError) -> NoReturn:
    if error.code is grpc.StatusCode.UNAVAILABLE:
        hint = "start a server with `python -m server --models DIR`, or name another one with --target"
        _say(f"error: no service at {client.target}; {hint} ({error.message})")
    else:
        _say(f"error: {client.target}: {error}")
    raise typer.Exit(1) from error


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    cli(prog_name="python -m client")
