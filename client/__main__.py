"""`python -m client`: classify pictures, list models, and ask models whose answers are text or pictures from a shell."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from client import connect, pictures, report, sheet, tensor_commands
from client.calls import DEFAULT_TARGET
from client.client import Client
from client.errors import ClassifyError
from client.overlays import OverlayFolder
from client.pictures import STDIN, Picture
from client.report import CsvLines, JsonLines, Lines, Row
from client.results import Explain, HeatmapFormat, ModelInfo, ModelState, Priority, Rank
from client.security import Tls
from client.truth import Truth
from client.work import Answered, Job, classify_all

SHEET = "contact-sheet.png"
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_HANDFUL = 5  # up to here a progress bar only flickers
_PIPE_WIDTH = 200  # columns of a table that no terminal limits

cli = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, help="Ask a Seethrough server.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line instead of a table.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print comma-separated values instead of a table.")]

Files = Annotated[
    list[str] | None,
    typer.Argument(help="Pictures, folders of them, patterns ('photos/**/*.jpg'), or - for one on standard input."),
]
FilesFrom = Annotated[
    str | None,
    typer.Option(help="Take further pictures and folders from this file, one name a line; - is standard input."),
]
Model = Annotated[str, typer.Option(help="Name of the model that shall answer.")]
Version = Annotated[
    str,
    typer.Option(
        help="Version of the model, by its number or what the server calls it, for example canary; without it, the one that answers by "
        "default.",
        metavar="NUMBER|LABEL",
    ),
]
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

PriorityOption = Annotated[
    Priority, typer.Option(help="Urgent requests overtake others in the server's queue; low is for work that can wait.")
]


@cli.command()
def classify(
    model: Model,
    files: Files = None,
    files_from: FilesFrom = None,
    version: Version = "",
    top: Top = 1,
    explain: ExplainFlag = False,
    classes: Classes = None,
    method: Method = "",
    out: Out = None,
    truth: TruthTable = None,
    json: Json = False,
    csv: Csv = False,
    target: connect.Target = DEFAULT_TARGET,
    batch: Batch = 8,
    concurrency: Concurrency = 4,
    priority: PriorityOption = Priority.NORMAL,
    timeout: connect.Timeout = 30.0,
    tls: connect.TlsFlag = False,
    ca: connect.Ca = None,
    cert: connect.Cert = None,
    key: connect.Key = None,
    server_name: connect.ServerName = "",
    token_file: connect.TokenFile = None,
) -> None:
    """Classify pictures; the exit status is 1 if one of them failed."""
    explain = explain or bool(classes) or bool(method)
    _refuse_contradictions(explain, out, json, csv)
    found, known = _pictures(files or [], files_from), _truth(truth)
    targets = tuple(classes) if classes else (Rank(0),)
    wanted = Explain(targets, _form(out), method) if explain else None
    secured = connect.secured(tls, ca, cert, key, server_name)
    with connect.connect(target, timeout, secured, token_file) as client:
        info = _model(client, model, version, secured)
        _refuse_unknown(info, classes or [], method)
        # One version for all of them, also when a higher one comes into service meanwhile.
        job = Job(model, info.version, top, wanted, batch, concurrency, priority)
        lines = _lines(info, top, known, json, csv)
        rows: list[Row] = []
        try:
            _collect(rows, client, found, job, out, known, lines)
        except KeyboardInterrupt:
            _say(f"interrupted after {len(rows)} of {len(found)} pictures")
    if lines is None:
        _terminal().print(report.answers(rows))
    _conclude(rows, info, out)
    if len(rows) < len(found):
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(any(not row.result.ok for row in rows))


@cli.command()
def models(
    json: Json = False,
    target: connect.Target = DEFAULT_TARGET,
    timeout: connect.Timeout = 30.0,
    tls: connect.TlsFlag = False,
    ca: connect.Ca = None,
    cert: connect.Cert = None,
    key: connect.Key = None,
    server_name: connect.ServerName = "",
    token_file: connect.TokenFile = None,
) -> None:
    """List every version of every model on the server, and why those that were refused were."""
    secured = connect.secured(tls, ca, cert, key, server_name)
    with connect.connect(target, timeout, secured, token_file) as client:
        try:
            infos = client.models()
        except ClassifyError as error:
            connect.give_up(client, error, secured)
    if json:
        for info in infos:
            typer.echo(report.model_line(info))
    else:
        _terminal().print(report.models(infos))


def _form(out: Path | None) -> HeatmapFormat:
    return HeatmapFormat.GRID if out is None else HeatmapFormat.OVERLAY_PNG


def _lines(info: ModelInfo, top: int, truth: Truth | None, json: bool, csv: bool) -> Lines | None:
    if json:
        return JsonLines(info.name, info.version)
    if csv:
        return CsvLines(info.name, info.version, min(top, len(info.labels)), truth is not None)
    return None


def _refuse_contradictions(explain: bool, out: Path | None, json: bool, csv: bool) -> None:
    if out is not None and not explain:
        raise typer.BadParameter("writes overlays, so it needs --explain", param_hint="--out")
    if json and csv:
        raise typer.BadParameter("there is --json too; take one of them", param_hint="--csv")
    if csv and explain and out is None:
        raise typer.BadParameter(
            "has no column for evidence; add --out for overlays, or take --json", param_hint="--csv"
        )


def _refuse_unknown(info: ModelInfo, classes: list[str], method: str) -> None:
    if unknown := set(classes) - set(info.labels):
        hint = f"{', '.join(sorted(unknown))}: not a class of {info.name}; there are: {', '.join(info.labels)}"
        raise typer.BadParameter(hint, param_hint="--class")
    if method and method not in info.explanations:
        hint = f"{method}: {info.name} explains by {', '.join(info.explanations)}"
        raise typer.BadParameter(hint, param_hint="--method")


def _pictures(files: list[str], files_from: str | None) -> list[Picture]:
    if not files and files_from is None:
        hint = "name pictures, folders or patterns, - for standard input, or a list with --files-from"
        raise typer.BadParameter(hint, param_hint="FILES")
    if files_from == STDIN and STDIN in files:
        raise typer.BadParameter("standard input is either a list or a picture", param_hint="--files-from")
    with _refused("--files-from"):
        listed = [] if files_from is None else pictures.read_list(files_from)
    with _refused("FILES"):
        return pictures.find(files, listed)


def _truth(table: Path | None) -> Truth | None:
    with _refused("--truth"):
        return None if table is None else Truth(table)


@contextmanager
def _refused(option: str) -> Iterator[None]:
    """Makes a usage error of what is wrong with the files that an option names."""
    try:
        yield
    except OSError as error:
        raise typer.BadParameter(f"{error.filename}: {error.strerror}", param_hint=option) from error
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _model(client: Client, name: str, version: str, tls: Tls | None) -> ModelInfo:
    """Asked first, so that a wrong address or name is one line and not one for each picture."""
    try:
        info = client.get_model(name, int(version) if version.isdecimal() else version)
    except ClassifyError as error:
        connect.give_up(client, error, tls)
    if info.state is not ModelState.SERVING:
        _say(f"error: {info.name} version {info.version} is not in service: {info.reason or info.state}")
        raise typer.Exit(1)
    return info


def _collect(
    rows: list[Row],
    client: Client,
    found: list[Picture],
    job: Job,
    out: Path | None,
    truth: Truth | None,
    lines: Lines | None,
) -> None:
    """Fills `rows` as answers arrive, so that they are there when Ctrl-C ends it; `lines` are printed at once."""
    with _writing(out):
        folder = None if out is None else OverlayFolder(out)
    if lines is not None and lines.heading is not None:
        typer.echo(lines.heading)
    for picture, result in _with_progress(classify_all(client, found, job), len(found)):
        with _writing(out):
            overlays = tuple(folder.save(picture, each) for each in result.explanations) if folder else ()
        rows.append(Row(picture, result, truth.of(picture) if truth else None, overlays))
        if lines is not None:
            typer.echo(lines.line(rows[-1]))


def _with_progress(answers: Iterator[Answered], total: int) -> Iterator[Answered]:
    quiet = total <= _HANDFUL or not sys.stderr.isatty()
    columns = ("classifying", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        yield from progress.track(answers, total)


def _conclude(rows: list[Row], info: ModelInfo, out: Path | None) -> None:
    line = report.summary(rows)
    _say(line)
    if out is not None and any(row.overlays for row in rows):
        page = sheet.draw(rows, f"{info.name}, version {info.version}", line)
        with _writing(out):
            (out / SHEET).write_bytes(sheet.to_png(page))
        _say(f"overlays and {SHEET} are in {out}")


@contextmanager
def _writing(out: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _say(f"error: cannot write into {out}: {error.strerror}")
        raise typer.Exit(1) from error


def _terminal() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _say(line: str) -> None:
    typer.echo(line, err=True)


cli.command("generate")(tensor_commands.generate_text)
cli.command("transform")(tensor_commands.transform_pictures)

if __name__ == "__main__":
    cli(prog_name="python -m client")
