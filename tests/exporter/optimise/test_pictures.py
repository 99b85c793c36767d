"""What forms are calibrated and measured on, and every reason why that cannot be."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle import files
from bundle.samples import UNKNOWN, Samples
from exporter.optimise import pictures
from exporter.optimise.pictures import Chosen, Wanted
from tests.bundles import make_bundle, make_tensor_bundle
from tests.contract.conftest import flip_a_byte
from tests.exporter.optimise.bundles import SHAPE, bundle_with_pictures, optimise, random_pictures


def choose(folder: Path, data: Path | None = None, test: Path | None = None, most: int = 512) -> Chosen:
    return pictures.choose(folder, files.verify_classifier(folder), Wanted(data, test, most))


def as_set(found: np.ndarray) -> set[bytes]:
    return {picture.tobytes() for picture in found}


def save(path: Path, given: Samples) -> Path:
    np.savez(path, pixels=given.pixels, labels=given.labels)
    return path


def picture_folder(folder: Path, given: Samples, inside: str = "") -> Path:
    (folder / inside).mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(given.pixels):
        Image.fromarray(pixels).save(folder / inside / f"{number:03}.png")
    return folder


def test_one_kept_picture_in_four_calibrates_and_the_rest_are_measured_on(tmp_path: Path) -> None:
    chosen = choose(bundle_with_pictures(tmp_path / "m/1", count=80))
    assert (len(chosen.calibration), len(chosen.evaluation)) == (20, 60)
    assert not as_set(chosen.calibration) & as_set(chosen.evaluation.pixels)


def test_a_picture_that_is_there_twice_is_not_measured_on_when_it_calibrates(tmp_path: Path) -> None:
    given = random_pictures(40)
    given.pixels[1] = given.pixels[0]
    chosen = choose(make_bundle(tmp_path / "m/1"), save(tmp_path / "given.npz", given))
    assert (len(chosen.calibration), len(chosen.evaluation)) == (10, 29)


def test_test_pictures_are_all_measured_on_but_for_those_that_calibrate(tmp_path: Path) -> None:
    everything = random_pictures(100)
    test = save(tmp_path / "test.npz", everything)
    chosen = choose(make_bundle(tmp_path / "m/1"), save(tmp_path / "given.npz", everything[slice(0, 40)]), test)
    assert (len(chosen.calibration), len(chosen.evaluation)) == (40, 60)
    np.testing.assert_array_equal(chosen.evaluation.labels, everything.labels[40:])


def test_no_more_pictures_are_taken_than_asked_for(tmp_path: Path) -> None:
    chosen = choose(bundle_with_pictures(tmp_path / "m/1", count=80), most=40)
    assert (len(chosen.calibration), len(chosen.evaluation)) == (10, 30)


def test_folders_inside_the_folder_say_what_is_on_the_pictures(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "data", random_pictures(20, seed=1), "square")
    picture_folder(folder, random_pictures(20, seed=2))
    (folder / "notes.txt").write_text("none")
    chosen = choose(make_bundle(tmp_path / "m/1"), folder)
    assert set(chosen.evaluation.labels) == {1, UNKNOWN}
    assert [reason.split(":")[0] for reason in chosen.skipped] == ["notes.txt"]
    assert chosen.calibration.shape[1:] == SHAPE


def refused(*arguments: object) -> str:
    """The reason, which must be one line."""
    answer = optimise(Path(str(arguments[0])), Path(str(arguments[1])), *(str(each) for each in arguments[2:]))
    assert answer.exit_code in (1, 2), answer.output
    told = answer.stderr.strip().splitlines()
    assert "Error" in told[-1]
    assert "Traceback" not in answer.stderr
    return told[-1]


def test_a_bundle_without_pictures_says_how_to_give_some(tmp_path: Path) -> None:
    told = refused(make_bundle(tmp_path / "m/1"), tmp_path / "m/2")
    assert "keeps no pictures (samples.npz)" in told
    assert "--data" in told
    assert not (tmp_path / "m/2").exists()


def test_too_few_pictures_are_refused_with_their_number(tmp_path: Path) -> None:
    assert "12 pictures are too few, 32 are needed" in refused(
        bundle_with_pictures(tmp_path / "m/1", 12), tmp_path / "m/2"
    )


def test_a_folder_without_readable_pictures_is_refused_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.jpg").write_bytes(b"no picture")
    told = refused(make_bundle(tmp_path / "m/1"), tmp_path / "m/2", "--data", tmp_path / "data")
    assert "no picture that can be read; a.jpg: " in told


def test_a_folder_that_is_called_as_no_label_is_refused(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "data", random_pictures(2), "triangle")
    told = refused(make_bundle(tmp_path / "m/1"), tmp_path / "m/2", "--data", folder)
    assert "no label 'triangle'" in told
    assert "circle, square, star" in told


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "given.npz", pixels=np.zeros((40, 8, 8, 3), np.uint8), labels=np.zeros(40, np.int64))
    told = refused(make_bundle(tmp_path / "m/1"), tmp_path / "m/2", "--data", tmp_path / "given.npz")
    assert "pixels is uint8 [40, 8, 8, 3]" in told


def test_a_test_set_that_calibration_has_seen_is_refused(tmp_path: Path) -> None:
    given = save(tmp_path / "given.npz", random_pictures(40))
    told = refused(make_bundle(tmp_path / "m/1"), tmp_path / "m/2", "--data", given, "--test", given)
    assert "no picture to measure on that calibration has not seen" in told


def test_a_file_that_is_no_array_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "given.csv").write_text("1,2")
    told = refused(make_bundle(tmp_path / "m/1"), tmp_path / "m/2", "--data", tmp_path / "given.csv")
    assert "neither a folder of pictures nor an .npz file" in told


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m/1").mkdir(parents=True)
    assert "manifest.sha256: cannot be read" in refused(tmp_path / "m/1", tmp_path / "m/2")


def test_a_bundle_without_images_is_refused(tmp_path: Path) -> None:
    assert "takes no images" in refused(make_tensor_bundle(tmp_path / "m/1"), tmp_path / "m/2")


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    source = bundle_with_pictures(tmp_path / "m/1")
    flip_a_byte(source / "samples.npz")
    assert "changed since export" in refused(source, tmp_path / "m/2")


def test_a_version_that_is_there_already_is_never_touched(tmp_path: Path) -> None:
    source = bundle_with_pictures(tmp_path / "m/1")
    assert "exists already" in refused(source, source)
    files.verify_classifier(source)


@pytest.mark.parametrize("name", ["int4", "fp32", "INT8"])
def test_an_unknown_precision_is_refused_with_those_that_there_are(tmp_path: Path, name: str) -> None:
    told = refused(bundle_with_pictures(tmp_path / "m/1"), tmp_path / "m/2", "--precision", name)
    assert f"no precision '{name}'; choose from int8, bf16, fp16" in told
