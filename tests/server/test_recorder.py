"""What is kept of pictures and answers, and that it never outgrows its bound, whatever the disk does."""

import io
import json
import logging
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bundle import manifest
from server.events import Events, ImagesRecorded
from server.evidence.recorder import Recorder
from server.evidence.records import Line, Records
from server.evidence.sampling import chosen
from server.serving.models import ServedClassifier
from server.serving.observers import Observed
from tests.bundles import make_bundle
from tests.server.fakes import GatedEngine
from tests.server.gated import metered

KIB = 1024
PLENTY = 1 << 30
EVIL = ["../../etc/passwd", "a/b", "..", "", "two\nlines", "x" * 5000, "\N{SNOWMAN}\ud800", ".hidden", "nul\0"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedClassifier:
    return served(tmp_path_factory.mktemp("bundle"), ("circle", "square", "star"))


def served(folder: Path, labels: tuple[str, ...], name: str = "shapes") -> ServedClassifier:
    document = manifest.read_classifier(make_bundle(folder / "1", labels=labels))
    nobody_asks_it: Any = None
    return ServedClassifier(name, 3, GatedEngine(), 0.0, "c0ffee  manifest.json\n", document, nobody_asks_it)


def picture(form: str = "JPEG", size: int = 8) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size), "teal").save(out, form)
    return out.getvalue()


def seen(
    model: ServedClassifier, request_id: str = "order-66", encoded: bytes | None = None, images: int = 1
) -> Observed:
    pixels = np.arange(images * 12 * 16 * 3, dtype=np.uint8).reshape(images, 12, 16, 3)
    probabilities = np.tile(np.array([0.1, 0.7, 0.2], np.float32), (images, 1))
    return Observed(request_id, model, pixels, encoded, probabilities)


@contextmanager
def recording(folder: Path, rate: float = 1.0, max_bytes: int = PLENTY) -> Iterator[tuple[Recorder, list[str]]]:
    """A recorder, and what became of each picture; after the block everything is written."""
    events, outcomes = Events(), list[str]()
    events.subscribe(ImagesRecorded, lambda event: outcomes.append(event.outcome))
    recorder = Recorder(folder, rate, max_bytes, 1, events)
    try:
        yield recorder, outcomes
    finally:
        recorder.close(60)


def lines(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Every record by the path of its JSON file, in the order of names."""
    found = sorted(folder.rglob("*.json"), key=lambda path: path.name)
    return [(path, json.loads(path.read_text())) for path in found]


@pytest.mark.parametrize(("form", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif")])
def test_a_picture_is_kept_as_it_came_with_the_suffix_of_its_content(
    model: ServedClassifier, tmp_path: Path, form: str, suffix: str
) -> None:
    with recording(tmp_path) as (recorder, outcomes):
        recorder(seen(model, encoded=picture(form)))
    ((path, line),) = lines(tmp_path)
    assert outcomes == ["ok"]
    assert line["picture"] == path.stem + suffix
    assert path.with_name(line["picture"]).read_bytes() == picture(form)
    assert line["original"] is True
    assert line["size_bytes"] == len(picture(form))


def test_pixels_are_kept_as_png_one_file_for_each_picture(model: ServedClassifier, tmp_path: Path) -> None:
    observed = seen(model, images=3)
    with recording(tmp_path) as (recorder, _):
        recorder(observed)
    kept = lines(tmp_path)
    assert len(kept) == 3
    for (path, line), pixels in zip(kept, observed.pixels, strict=True):
        assert line["original"] is False
        with Image.open(path.with_name(line["picture"])) as image:
            assert np.array_equal(cast(NDArray[np.uint8], np.asarray(image)), pixels)


def test_a_line_tells_what_was_answered_by_which_model(model: ServedClassifier, tmp_path: Path) -> None:
    with recording(tmp_path) as (recorder, _):
        recorder(seen(model))
    ((path, line),) = lines(tmp_path)
    assert path.read_text().count("\n") == 1
    assert (line["request_id"], line["model"], line["version"], line["fingerprint"]) == (
        "order-66",
        "shapes",
        3,
        "c0ffee",
    )
    assert (line["label"], line["confidence"]) == ("square", pytest.approx(0.7))
    assert [each["label"] for each in line["predictions"]] == ["square", "star", "circle"]
    day = line["time"][:10]
    assert datetime.fromisoformat(line["time"]).tzinfo == UTC
    assert path.parent == tmp_path / "shapes/3" / day / "square"


@pytest.mark.parametrize("text", EVIL, ids=range(len(EVIL)))
def test_no_name_leaves_the_folder_whatever_callers_and_labels_say(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    named = text.encode(errors="replace").decode() or "?"
    model = served(tmp_path / "bundle", ("circle", named, "star"), name=named)
    with recording(folder) as (recorder, outcomes):
        recorder(seen(model, text))
    assert outcomes == ["ok"]
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "records"}
    ((path, line),) = lines(folder)
    assert len(path.relative_to(folder).parts) == 5
    assert line["label"] == named


def test_only_the_server_s_own_user_can_read_any_of_it(model: ServedClassifier, tmp_path: Path) -> None:
    with recording(tmp_path) as (recorder, _):
        recorder(seen(model))
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())


def test_of_a_request_everything_is_kept_or_nothing_and_every_process_decides_alike(
    model: ServedClassifier, tmp_path: Path
) -> None:
    ids = [f"request-{number}" for number in range(200)]
    with recording(tmp_path, rate=0.25) as (recorder, _):
        for request_id in ids:
            recorder(seen(model, request_id, images=2))
    kept = [line["request_id"] for _, line in lines(tmp_path)]
    wanted = [request_id for request_id in ids if chosen(request_id, 0.25)]
    assert sorted(kept) == sorted(wanted * 2)
    assert 30 < len(wanted) < 70


def test_what_became_of_pictures_is_counted() -> None:
    events, metrics = metered()
    events.emit(ImagesRecorded("ok", 1))
    events.emit(ImagesRecorded("dropped", 2))
    page, _ = metrics.page(inflight=0, queued=())
    assert b'seethrough_recorded_images_total{outcome="ok"} 1.0' in page
    assert b'seethrough_recorded_images_total{outcome="dropped"} 2.0' in page


def test_what_does_not_fit_the_queue_is_dropped(model: ServedClassifier, tmp_path: Path) -> None:
    pixels = np.zeros((1, 5000, 5000, 3), np.uint8)
    with recording(tmp_path) as (recorder, outcomes):
        recorder(Observed("order-66", model, pixels, None, np.array([[0.1, 0.7, 0.2]], np.float32)))
        assert outcomes == ["dropped"]
    assert not lines(tmp_path)


def test_a_disk_that_fails_is_counted_and_told_once_and_recording_goes_on_when_it_works_again(
    model: ServedClassifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "shapes"
    in_the_way.touch()
    with caplog.at_level(logging.WARNING), recording(tmp_path) as (recorder, outcomes):
        for _ in range(5):
            recorder(seen(model))
    assert outcomes == ["failed"] * 5
    assert [record.getMessage() for record in caplog.records if "cannot be recorded" in record.getMessage()] == [
        f"a picture cannot be recorded: [Errno 17] File exists: '{in_the_way}'"
    ]
    in_the_way.unlink()
    with recording(tmp_path) as (recorder, outcomes):
        recorder(seen(model))
    assert outcomes == ["ok"]


def write(records: Records, number: int, at: datetime, size: int = 10 * KIB, label: str = "square") -> None:
    line = Line("", f"r{number}", "shapes", 1, "", "", 0, True, label, 0.9, [])
    records.write(line, bytes(size), ".jpg", at)


def day(number: int) -> datetime:
    return datetime(2026, 1, number, 12, tzinfo=UTC)


def used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def numbers(folder: Path) -> list[int]:
    return sorted(int(line["request_id"][1:]) for _, line in lines(folder))


def test_the_oldest_records_make_room_for_new_ones_and_the_bound_always_holds(tmp_path: Path) -> None:
    records = Records(tmp_path, 200 * KIB, 1)
    for number in range(60):
        write(records, number, day(1 + number // 20), label="even" if number % 2 else "odd")
        assert used(tmp_path) <= 200 * KIB
    kept = numbers(tmp_path)
    assert kept == list(range(kept[0], 60))
    assert len(kept) >= 10
    assert not (tmp_path / "shapes/1/2026-01-01").exists()
    records.close()


def test_within_a_day_the_oldest_go_first_too(tmp_path: Path) -> None:
    records = Records(tmp_path, 200 * KIB, 1)
    for number in range(40):
        write(records, number, day(1).replace(minute=number), label=f"label {number % 3}")
    kept = numbers(tmp_path)
    assert kept == list(range(kept[0], 40))
    records.close()


def test_every_picture_has_its_line_and_every_line_its_picture_after_room_was_made(tmp_path: Path) -> None:
    records = Records(tmp_path, 100 * KIB, 1)
    for number in range(40):
        write(records, number, day(1))
    assert {path.stem for path in tmp_path.rglob("*.jpg")} == {path.stem for path in tmp_path.rglob("*.json")}
    records.close()


def test_the_bound_holds_over_a_restart(tmp_path: Path) -> None:
    for number in range(60):
        records = Records(tmp_path, 200 * KIB, 1)
        write(records, number, day(1 + number // 10))
        records.close()
        assert used(tmp_path) <= 200 * KIB
    assert 59 in numbers(tmp_path)


def test_processes_share_the_bound_also_when_they_become_fewer(tmp_path: Path) -> None:
    processes = [Records(tmp_path, 400 * KIB, 4) for _ in range(4)]
    for number in range(80):
        write(processes[number % 4], number, day(1 + number // 20))
        assert used(tmp_path) <= 400 * KIB
    for each in processes:
        each.close()
    alone = Records(tmp_path, 100 * KIB, 1)
    write(alone, 80, day(9))
    assert used(tmp_path) <= 100 * KIB
    assert 80 in numbers(tmp_path)
    alone.close()


def test_a_record_that_is_larger_than_the_bound_removes_nothing(tmp_path: Path) -> None:
    records = Records(tmp_path, 100 * KIB, 1)
    write(records, 0, day(1))
    with pytest.raises(ValueError, match="larger than the bound"):
        write(records, 1, day(1), size=200 * KIB)
    assert numbers(tmp_path) == [0]
    records.close()


def test_what_a_crash_left_unfinished_is_removed_and_files_of_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "shapes/1/2026-01-01/square"
    folder.mkdir(parents=True)
    half = folder / ".120000.000000-1-7-r7.jpg"
    half.write_bytes(b"half")
    mine = [tmp_path / "notes.txt", folder / "labels.csv", tmp_path / "shapes/1/readme/x/120000.000000-1-1-a.jpg"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(50 * KIB))
    records = Records(tmp_path, 40 * KIB, 1)
    for number in range(10):
        write(records, number, day(1))
    assert not half.exists()
    assert all(path.exists() for path in mine)
    records.close()


def test_another_server_in_the_same_folder_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Records(tmp_path, PLENTY, 1)
    with caplog.at_level(logging.WARNING):
        second = Records(tmp_path, PLENTY, 1)
    assert "another server records into" in caplog.text
    write(first, 1, day(1))
    write(second, 2, day(1))
    assert numbers(tmp_path) == [1, 2]
    first.close()
    second.close()
