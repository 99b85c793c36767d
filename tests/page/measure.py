"""`python -m tests.page.measure`: how soon a person who opens the page sees an answer, and how much the page weighs."""

import statistics
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from bench.server_process import serving
from tests.page.browser import chromium, told, visiting

# Milliseconds from the beginning of the navigation to the first evidence, and from a click on a sample to that of its own.
_OPENED = """() => new Promise(done => {
    const look = () => document.querySelector('.stage .layers[aria-label*="evidence for"]')
        ? done(performance.now()) : requestAnimationFrame(look);
    look();
})"""
_CLICKED = """at => new Promise(done => {
    const layers = document.querySelector('.stage .layers');
    const before = layers.getAttribute('aria-label');
    const begun = performance.now();
    document.querySelectorAll('#view-classify .thumbs button')[at].click();
    const look = () => /evidence for/.test(layers.getAttribute('aria-label')) && layers.getAttribute('aria-label') !== before
        ? done(performance.now() - begun) : requestAnimationFrame(look);
    look();
})"""
_WEIGHT = """() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .filter(each => each.initiatorType !== 'fetch').map(each => [each.decodedBodySize, each.transferSize])"""

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@cli.command()
def main(
    model: Annotated[Path, typer.Argument(help="The bundle to serve, DIR/NAME/VERSION.", metavar="BUNDLE")] = Path(
        "models/fashion/1"
    ),
    rounds: Annotated[int, typer.Option(help="How often the page is opened afresh.", min=1)] = 10,
) -> None:
    """Measure the page on this machine; medians of the rounds. Needs Chromium: apt-get install chromium."""
    if not (model / "manifest.json").is_file():
        raise typer.BadParameter(f"{model} is not a bundle; export a model there first", param_hint="BUNDLE")
    opened, clicked, weight = [], [], [[0, 0]]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / model.resolve().parent.name
        place.mkdir()
        (place / model.name).symlink_to(model.resolve())
        with chromium() as browser, serving(Path(folder), "--log-level", "error") as running:
            for _ in track(range(rounds), "Opening"):
                with visiting(browser, running.http) as visit:
                    opened.append(visit.page.evaluate(_OPENED))
                    visit.page.wait_for_selector("#view-classify .thumbs button")
                    clicked.append(visit.page.evaluate(_CLICKED, 1))
                    weight = visit.page.evaluate(_WEIGHT)
    decoded, sent = (sum(column) / 1024 for column in zip(*weight, strict=True))
    typer.echo(
        f"first answer    {statistics.median(opened):.0f} ms after opening the page, slowest {max(opened):.0f} ms"
    )
    typer.echo(
        f"an answer       {statistics.median(clicked):.0f} ms after a click on a sample, slowest {max(clicked):.0f} ms"
    )
    typer.echo(f"the page        {decoded:.0f} KiB in {len(weight)} files, {sent:.0f} KiB of them sent")


if __name__ == "__main__":
    with told():
        cli(prog_name="python -m tests.page.measure")
