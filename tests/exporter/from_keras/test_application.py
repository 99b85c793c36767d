"""Architectures of keras.applications by their name."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bundle import files
from exporter import labels
from exporter.__main__ import app
from exporter.from_keras import application

SMALL = ("--size", "64x64", "--samples", "4")


def bring(name: str, out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["keras-application", name, "--out", str(out), *options])


def test_an_architecture_becomes_a_bundle_with_what_belongs_to_it(tmp_path: Path) -> None:
    answer = bring("mobilenetv3small", tmp_path / "1", "--weights", "none", *SMALL)

    assert answer.exit_code == 0, answer.output
    manifest = files.verify_classifier(tmp_path / "1")
    assert manifest.labels == labels.imagenet()
    assert manifest.preprocess.shape == (64, 64, 3)
    assert (manifest.preprocess.fit, manifest.preprocess.crop) == ("cover", 0.875)
    assert manifest.provenance.source == "keras.applications.MobileNetV3Small, random weights"
    assert manifest.feature_map.layer.startswith("MobileNetV3Small/")


def test_weights_from_a_file_have_labels_of_their_own_and_pictures_may_too(tmp_path: Path) -> None:
    network = keras.applications.MobileNetV3Small((64, 64, 3), weights=None, classes=3)
    network.save_weights(tmp_path / "trained.weights.h5")
    (tmp_path / "labels.txt").write_text("circle\nsquare\nstar\n")
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.effect_noise((80, 70), 100 + number).save(tmp_path / "pictures" / f"{number}.png")
    weights = ("--weights", str(tmp_path / "trained.weights.h5"))

    options = ("--labels", str(tmp_path / "labels.txt"), "--pictures", str(tmp_path / "pictures"))
    answer = bring("MobileNetV3Small", tmp_path / "1", *weights, *options, *SMALL)

    assert answer.exit_code == 0, answer.output
    manifest = files.verify_classifier(tmp_path / "1")
    assert manifest.labels == ["circle", "square", "star"]
    assert manifest.precisions[0].samples == 3
    assert manifest.provenance.source == "keras.applications.MobileNetV3Small, weights of trained.weights.h5"
    assert len(manifest.provenance.details["weights_sha256"]) == 64

    answer = bring("MobileNetV3Small", tmp_path / "2", *weights, *SMALL)
    assert answer.exit_code == 1
    assert "trained.weights.h5: cannot be read as weights of" in answer.stderr
    assert "give --labels" in answer.stderr


@pytest.mark.parametrize(
    ("name", "module"),
    [("VGG16", "vgg16"), ("MobileNet", "mobilenet"), ("DenseNet121", "densenet"), ("EfficientNetB0", "efficientnet")],
)
def test_pixels_are_prepared_as_keras_prepares_them_for_the_architecture(name: str, module: str) -> None:
    builder = application.architecture(name)
    keras.utils.set_random_seed(0)
    model = application.build(builder, None, 10, (32, 32))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)

    prepared = getattr(keras.applications, module).preprocess_input(pixels.astype(np.float32))

    np.testing.assert_allclose(model(pixels, training=False), model.layers[-1](prepared, training=False), atol=1e-6)


def test_the_size_is_the_architectures_own_unless_another_is_given() -> None:
    for name, side in (("InceptionV3", 299), ("MobileNetV3Small", 224)):
        assert application.build(application.architecture(name), None, 10, None).input_shape == (None, side, side, 3)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("ResNet51", ("--weights", "none"), r"no architecture 'ResNet51'; choose one of ConvNeXtBase, .*Xception"),
        ("MobileNetV2", ("--weights", "missing.h5"), r"--weights missing.h5: there is no such file"),
        ("MobileNetV2", ("--weights", "none", "--size", "8x8"), r"MobileNetV2: .*at least 32x32"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_line(
    name: str, options: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    answer = bring(name, tmp_path / "1", *options)

    assert answer.exit_code == 1
    assert len(answer.stderr.splitlines()) == 1
    assert re.search(told, answer.stderr)


@pytest.mark.parametrize("size", ["64", "0x64", "64x64x3", "-1x2"])
def test_a_size_that_is_none_is_refused(size: str, tmp_path: Path) -> None:
    answer = bring("MobileNetV2", tmp_path / "1", "--size", size)

    assert answer.exit_code == 2
    assert "HEIGHTxWIDTH" in answer.stderr


def test_weights_that_cannot_be_fetched_are_told_with_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(**_options: object) -> None:
        raise Exception("URL fetch failure: Name or service not known")  # as Keras does

    monkeypatch.setattr(application, "architecture", lambda _name: unreachable)

    answer = bring("MobileNetV2", tmp_path / "1")

    assert answer.exit_code == 1
    assert "the ImageNet weights cannot be had: URL fetch failure" in answer.stderr
    assert "--weights PATH" in answer.stderr
    assert not (tmp_path / "1").exists()
