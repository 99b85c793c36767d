"""`python -m tests.page.screenshots`: every view of the page, on a desktop and on a phone, light and dark, as pictures for the docs.

The server under it is a real one, and gets calls for a while first, so that Live has something to show.
"""

import io
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from rich.progress import track

from bench.server_process import RunningServer, serving
from tests.contract.http.asking import ask
from tests.page.browser import DESKTOP, PHONE, Visit, chromium, told, visiting

_READY = {
    "classify": '.stage .layers[aria-label*="and the evidence for"]',
    "compare": ".differences tbody tr",
    "models": ".model",
    "live": ".chart",
}
_SIZES = {"desktop": DESKTOP, "phone": PHONE}
_NOISE = b"This is no picture."

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@cli.command()
def main(
    models: Annotated[Path, typer.Option(help="Folder of the bundles to serve.", metavar="DIR")] = Path("models"),
    classify: Annotated[str, typer.Option(help="Which of them is asked in Classify; by default the first.")] = "",
    sample: Annotated[int, typer.Option(help="Which of its samples, from 0.", min=0)] = 0,
    compare: Annotated[
        str, typer.Option(help="Which of them is compared with itself in Compare; by default that of Classify.")
    ] = "",
    load_seconds: Annotated[float, typer.Option(help="How long to call the server before.", min=0)] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder to write VIEW-SIZE-SCHEME.webp to.", metavar="DIR")] = Path(
        "docs/page"
    ),
) -> None:
    """Take the pictures. Needs Chromium: apt-get install chromium."""
    if not models.is_dir():
        raise typer.BadParameter(f"{models} is not a folder; export a model there first", param_hint="--models")
    out.mkdir(parents=True, exist_ok=True)
    chosen = {"classify": classify, "compare": compare or classify, "models": "", "live": ""}
    with chromium() as browser, serving(models, "--log-level", "error") as running, _called(running, load_seconds):
        shots = list(itertools.product(_READY, _SIZES, ("light", "dark")))
        for view, size, scheme in track(shots, "Pictures"):
            with visiting(
                browser, running.http, size=_SIZES[size], color_scheme=scheme, device_scale_factor=1.5
            ) as visit:
                _prepare(visit, view, chosen[view], sample)
                png = visit.page.screenshot(full_page=True, animations="disabled")
                Image.open(io.BytesIO(png)).save(out / f"{view}-{size}-{scheme}.webp", quality=88, method=6)


def _prepare(visit: Visit, view: str, model: str, sample: int) -> None:
    """Brings a view to where there is something to see."""
    page = visit.page
    page.wait_for_selector(_READY["classify"])
    if model:
        page.locator("#view-classify select").first.select_option(model)
        page.wait_for_selector("#view-classify .thumbs button")
        page.locator("#view-classify .thumbs button").nth(sample).click()
        page.wait_for_selector(f'{_READY["classify"][:-1]}][aria-label*="sample-{sample}.png"]')
    if view != "classify":
        page.evaluate("view => location.hash = view", view)
        page.wait_for_selector(_READY[view])
    if view == "models":
        page.locator(".model > details > summary").last.click()
        page.get_by_role("button", name="Check now").click()
        page.wait_for_selector(".trust .state")
    page.wait_for_timeout(500)


@contextmanager
def _called(running: RunningServer, seconds: float) -> Iterator[None]:
    """Calls the server's models from several threads for so long, now and then with what is no picture; then runs the block."""
    names = [each["name"] for each in ask(running.http, "GET", "/v1/models").json["models"] if "labels" in each]
    if not names:
        raise typer.BadParameter("no model in it takes pictures", param_hint="--models")
    pictures = [
        (name, ask(running.http, "GET", f"/v1/models/{name}/versions/{_version(running, name)}/samples/0").body)
        for name in names
    ]
    done = threading.Event()

    def call() -> None:
        for turn, (name, picture) in enumerate(itertools.cycle(pictures)):
            if done.wait(0.05):
                return
            ask(running.http, "POST", f"/v1/models/{name}:classify?explain=grid", picture if turn % 17 else _NOISE)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for _ in track(range(100), "Calls"):
        done.wait(seconds / 100)
    try:
        yield
    finally:
        done.set()
        for caller in callers:
            caller.join()


def _version(running: RunningServer, name: str) -> int:
    version: int = ask(running.http, "GET", f"/v1/models/{name}").json["version"]
    return version


if __name__ == "__main__":
    with told():
        cli(prog_name="python -m tests.page.screenshots")
