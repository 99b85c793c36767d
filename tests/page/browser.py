"""Chromium, driven by Playwright, and a look over its shoulder: what it complains of, and whom it asks."""

import base64
import importlib.util
import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Without a sandbox, because containers have none to offer; a camera that shows a test picture, and nobody to ask for it.
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream"),
    *("--use-fake-ui-for-media-stream", "--force-color-profile=srgb", "--disable-lcd-text"),
)
PATIENCE_MS = 60_000  # on a busy machine
DESKTOP, PHONE = (1280, 900), (390, 844)


class MissingError(Exception):
    """There is no browser; the message says what to install."""


class File(NamedTuple):
    """A file that a person drops."""

    name: str
    media: str
    content: bytes


@dataclass
class Visit:
    """A page that is looked at, and what it did."""

    page: "Page"
    errors: list[str] = field(default_factory=list)  # on the console, or not caught
    asked: list[str] = field(default_factory=list)  # addresses of all requests

    def drop(self, *files: File) -> None:
        """Drops files on the page, as from a folder."""
        told = [
            {"name": each.name, "type": each.media, "data": base64.b64encode(each.content).decode()} for each in files
        ]
        transfer = self.page.evaluate_handle(_TRANSFER, told)
        self.page.dispatch_event("body", "drop", {"dataTransfer": transfer})

    def paste(self, file: File) -> None:
        """Pastes a file, as a screenshot is."""
        told = [{"name": file.name, "type": file.media, "data": base64.b64encode(file.content).decode()}]
        self.page.evaluate(
            f"files => dispatchEvent(new ClipboardEvent('paste', {{clipboardData: ({_TRANSFER})(files)}}))", told
        )

    def shown(self, selector: str) -> NDArray[np.float64]:
        """What is to be seen there, RGB [height, width, 3]."""
        png = self.page.locator(selector).screenshot(animations="disabled")
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.float64)


_TRANSFER = """files => {
    const transfer = new DataTransfer();
    for (const { name, type, data } of files)
        transfer.items.add(new File([Uint8Array.from(atob(data), each => each.charCodeAt(0))], name, { type }));
    return transfer;
}"""


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Debian's Chromium without a window. Raises MissingError."""
    path = shutil.which("chromium")
    if path is None:
        raise MissingError("chromium is not installed: apt-get install chromium")
    if importlib.util.find_spec("playwright") is None:
        raise MissingError("playwright is not installed: make setup")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def told() -> Iterator[None]:
    """Ends a command with one line when there is no browser for it."""
    try:
        yield
    except MissingError as missing:
        sys.exit(f"error: {missing}")


@contextmanager
def visiting(
    browser: "Browser", address: str, *, view: str = "", size: Sequence[int] = DESKTOP, **context: Any
) -> Iterator[Visit]:
    """A fresh look at the page of the server at `address`; `context` are Playwright's options for it, such as color_scheme."""
    width, height = size
    fresh = browser.new_context(viewport={"width": width, "height": height}, **context)
    fresh.set_default_timeout(PATIENCE_MS)
    visit = Visit(fresh.new_page())
    visit.page.on("console", lambda each: visit.errors.append(each.text) if each.type == "error" else None)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    visit.page.on("request", lambda request: visit.asked.append(request.url))
    visit.page.goto(f"http://{address}/{view}")
    yield visit
    fresh.close()
