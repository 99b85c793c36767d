"""The contact sheet: every picture beside the evidence for its answer, on one page that can be shown around."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bundle import preprocess
from bundle.errors import PictureError
from client.report import Row

MOST = 60  # pictures on one sheet
SIDE = 168  # of a picture on the sheet, in pixels
_PAGE_WIDTH = 1640
_GAP, _PAD, _MARGIN = 4, 12, 36
_TITLE, _TEXT, _SMALL = (ImageFont.load_default(size) for size in (30, 16, 13))
_PAGE, _CARD, _EDGE = "#f4f4f2", "#ffffff", "#d9d9d5"
_INK, _FAINT, _GOOD, _BAD = "#1d1d1b", "#777772", "#1a7f37", "#c62828"
_HEADER = 88
_CAPTION = 62

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def draw(rows: Sequence[Row], title: str, subtitle: str) -> Image.Image:
    """The sheet of `rows` that have overlays, the first MOST of them, as RGB."""
    explained = [row for row in rows if row.overlays]
    shown = explained[:MOST]
    tiles = [(_tile(_original(row)), *map(_overlay, row.overlays)) for row in shown]
    panels = max((len(each) for each in tiles), default=2)
    tallest = max((tile.height for each in tiles for tile in each), default=SIDE)
    card = panels * (SIDE + _GAP) - _GAP + 2 * _PAD, tallest + _CAPTION + 2 * _PAD
    columns = max(1, min(len(shown), (_PAGE_WIDTH - 2 * _MARGIN + _PAD) // (card[0] + _PAD)))
    lines = -(-len(shown) // columns)
    width = max(columns * (card[0] + _PAD) - _PAD, 640) + 2 * _MARGIN
    page = Image.new("RGB", (width, _HEADER + _MARGIN + lines * (card[1] + _PAD) - _PAD + _MARGIN), _PAGE)
    pen = ImageDraw.Draw(page)
    if len(shown) < len(explained):
        subtitle += f" · here the first {len(shown)}"
    subtitle += " · beside each picture, where the evidence lies: yellow is strongest"
    pen.text((_MARGIN, _MARGIN), _fitted(title, _TITLE, width - 2 * _MARGIN), _INK, _TITLE)
    pen.text((_MARGIN, _MARGIN + 44), _fitted(subtitle, _TEXT, width - 2 * _MARGIN), _FAINT, _TEXT)
    for place, (row, pictures) in enumerate(zip(shown, tiles, strict=True)):
        line, column = divmod(place, columns)
        at = _MARGIN + column * (card[0] + _PAD), _HEADER + _MARGIN + line * (card[1] + _PAD)
        _draw_card(page, pen, row, pictures, at, card)
    return page


def _draw_card(
    page: Image.Image,
    pen: ImageDraw.ImageDraw,
    row: Row,
    tiles: Sequence[Image.Image],
    at: tuple[int, int],
    size: tuple[int, int],
) -> None:
    left, top = at
    pen.rounded_rectangle((left, top, left + size[0] - 1, top + size[1] - 1), 8, _CARD, _EDGE)
    x, y, room = left + _PAD, top + _PAD, size[1] - _CAPTION - 2 * _PAD
    for tile in tiles:
        page.paste(tile, (x + (SIDE - tile.width) // 2, y + (room - tile.height) // 2))
        x += SIDE + _GAP
    _draw_caption(pen, row, left + _PAD, y + room + 8, size[0] - 2 * _PAD)


def _draw_caption(pen: ImageDraw.ImageDraw, row: Row, x: int, y: int, width: int) -> None:
    best = row.result.predictions[0]
    name = row.picture.path.name if row.picture.path else row.picture.name
    colour = {True: _GOOD, False: _BAD, None: _INK}[row.correct]
    probability = f"{best.probability:.1%}"
    room = width - round(pen.textlength(probability, _TEXT)) - _PAD
    pen.text((x, y), _fitted(best.label, _TEXT, room), colour, _TEXT)
    pen.text((x + width, y), probability, colour, _TEXT, anchor="ra")
    pen.text((x, y + 21), _fitted(_remark(row), _SMALL, width), _BAD if row.correct is False else _FAINT, _SMALL)
    pen.text((x, y + 39), _fitted(name, _SMALL, width), _FAINT, _SMALL)


def _remark(row: Row) -> str:
    verdict = {True: "right · ", False: f"wrong, it is {row.truth} · ", None: ""}[row.correct]
    return f"{verdict}evidence for {', '.join(each.label for each in row.result.explanations)}"


def _original(row: Row) -> Image.Image:
    try:
        return preprocess.upright(row.picture.read(), SIDE)
    except (OSError, PictureError):  # changed since it was sent
        return Image.new("RGB", (SIDE, SIDE), _EDGE)


def _overlay(path: Path) -> Image.Image:
    with Image.open(path) as overlay:
        return _tile(overlay)


def _tile(picture: Image.Image) -> Image.Image:
    """As large as fits; small pictures are enlarged with their pixels visible."""
    scale = SIDE / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS)


def _fitted(text: str, font: Font, width: int) -> str:
    """`text`, its middle left out if it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    keep = len(text)
    while keep > 2 and font.getlength(f"{text[: keep - keep // 2]}…{text[-(keep // 2) :]}") > width:
        keep -= 1
    return f"{text[: keep - keep // 2]}…{text[-(keep // 2) :]}"


def to_png(sheet: Image.Image) -> bytes:
    """The sheet as a PNG file."""
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
