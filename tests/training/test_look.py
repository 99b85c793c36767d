"""Looking inside: the pictures are of what they say, and what cannot be looked into is refused in one line."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from typer.testing import CliRunner

from training.__main__ import app
from training.look import style
from training.look.ascent import climber
from training.look.extent import extent
from training.look.gradcam import GradCam
from training.look.network import Network, behind_floats, load

layers = keras.layers


def network(nested: bool = False) -> keras.Model:
    """A classifier of three classes for colour pictures of 24x24, uint8, its convolutions in a model inside or not."""
    keras.utils.set_random_seed(3)
    convolutions = [
        layers.Conv2D(4, 3, activation="relu", name="first"),
        layers.Conv2D(6, 3, activation="relu", name="second"),
    ]
    base = [keras.Sequential([keras.Input((24, 24, 3)), *convolutions], name="base")] if nested else convolutions
    head = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    return keras.Sequential([keras.Input((24, 24, 3), dtype="uint8"), layers.Rescaling(1 / 255), *base, *head])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.keras, nested.keras and a photo.png."""
    folder = tmp_path_factory.mktemp("look")
    network().save(folder / "model.keras")
    network(nested=True).save(folder / "nested.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    return folder


def look(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["look", *map(str, words)])
    return result.exit_code, result.stderr


def test_gradcam_after_global_average_pooling_is_the_class_activation_map() -> None:
    """There the mean gradient of a channel is its weight over the number of places (Zhou et al., CVPR 2016)."""
    model = behind_floats(network())
    pixels = np.random.default_rng(1).integers(0, 256, (2, 24, 24, 3)).astype(np.float32)
    found = GradCam(model).heatmaps(pixels, "second", [0, 2])
    maps = keras.Model(model.inputs[0], model.get_layer("second").output)(pixels).numpy()
    weights = model.layers[-1].get_weights()[0]
    for heatmap, channels, number in zip(found, maps, (0, 2), strict=True):
        expected = np.maximum(channels @ weights[:, number], 0)
        np.testing.assert_allclose(heatmap, expected / max(expected.max(), 1e-30), atol=1e-5)


def test_the_layers_of_a_base_inside_are_found_and_give_the_same_heatmaps(files: Path) -> None:
    plain, nested = (load(str(files / name), "none", top=True) for name in ("model.keras", "nested.keras"))
    nested.model.set_weights(plain.model.get_weights())
    assert list(nested.places()) == ["base/first", "base/second"]
    pixels = np.random.default_rng(1).integers(0, 256, (1, 24, 24, 3)).astype(np.float32)
    before, after = (
        GradCam(each.model).heatmaps(pixels, path, [1]) for each, path in ((plain, "second"), (nested, "base/second"))
    )
    np.testing.assert_allclose(before, after, atol=1e-6)


def test_without_padding_a_map_lies_in_the_middle_of_the_picture() -> None:
    pool = keras.Sequential(
        [keras.Input((20, 20, 1)), layers.Conv2D(1, 5, name="valid"), layers.MaxPooling2D(2, name="pool")]
    )
    assert extent(pool, "valid")[0] == (2 / 20, 18 / 20)
    assert extent(pool, "pool")[0] == (2 / 20, 18 / 20)
    same = keras.Sequential([keras.Input((20, 20, 1)), layers.Conv2D(1, 5, padding="same", name="same")])
    assert extent(same, "same") == ((0, 1), (0, 1))


def test_a_step_of_ascent_is_as_long_as_asked_and_gains() -> None:
    pixels = tf.constant(np.random.default_rng(2).uniform(100, 150, (1, 8, 8, 1)), tf.float32)

    def gain(given: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(given[:, :4] ** 2, axis=(1, 2, 3)) * 1e-9

    after = climber(gain)(pixels, tf.constant(2.0), tf.constant([0, 0]))
    assert float(tf.sqrt(tf.reduce_mean((after - pixels) ** 2))) == pytest.approx(2, rel=1e-3)
    assert gain(after) > gain(pixels)


def test_gram_matrices_and_total_variation_are_what_the_papers_say() -> None:
    found = np.random.default_rng(3).normal(size=(1, 4, 5, 3)).astype(np.float32)
    places = found.reshape(20, 3)
    np.testing.assert_allclose(style.gram(found)[0], places.T @ places / 20, rtol=1e-5)
    steps = np.tile(np.arange(4, dtype=np.float32)[None, :, None, None] * 255, (1, 1, 6, 1))
    assert float(style.total_variation(steps)) == pytest.approx(1)


def test_painting_comes_nearer_to_both_pictures(tmp_path: Path) -> None:
    model = behind_floats(network())
    content, manner = np.random.default_rng(4).uniform(0, 255, (2, 1, 24, 24, 3)).astype(np.float32)
    painting = style.Painting("second", ["first", "second"], 1.0, 1.0, 1.0, steps=5, start="noise", seed=1)
    losses = style.write(tmp_path, Network(model, [], None), content, manner, painting)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_each_look_writes_its_pictures_and_the_same_seed_the_same_ones(files: Path, tmp_path: Path) -> None:
    photo, model = files / "photo.png", files / "model.keras"
    asked = {
        "activations": [model, "--picture", photo],
        "filters": [model, "--count", "2", "--steps", "3", "--size", "16x16"],
        "gradcam": [
            files / "nested.keras",
            "--picture",
            photo,
            "--class",
            "0",
            "--class",
            "2",
            "--layer",
            "base/first",
        ],
        "dream": [model, photo, "--steps", "2", "--octaves", "2"],
        "style": [model, photo, photo, "--steps", "2", "--start", "noise"],
    }
    pictures = {
        "activations": {"picture.png", "first.png", "second.png"},
        "filters": {"first.png", "second.png"},
        "gradcam": {"gradcam.png"},
        "dream": {"dream.png", "beside.png"},
        "style": {"painted.png", "beside.png"},
    }
    for name, words in asked.items():
        status, error = look(name, *words, "--out", tmp_path / name)
        assert status == 0, error
        assert {path.name for path in (tmp_path / name).iterdir()} == pictures[name]
    look("dream", *asked["dream"], "--out", tmp_path / "again")
    assert (tmp_path / "again" / "dream.png").read_bytes() == (tmp_path / "dream" / "dream.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["activations", "VGG61", "--picture", "photo.png"], 2, "no run folder, .keras file or architecture"),
        (["activations", "model.keras"], 2, "--picture: give one"),
        (["activations", "model.keras", "--picture", "model.keras"], 1, "cannot be read as a picture"),
        (["activations", "model.keras", "--picture", "photo.png", "--layer", "third"], 2, "there are first, second"),
        (["activations", "model.keras", "--picture", "photo.png", "--colours", "rainbows"], 2, "no such colour map"),
        (["gradcam", "model.keras", "--picture", "photo.png", "--class", "3"], 2, "give a number from 0 to 2"),
        (["filters", "model.keras", "--size", "9"], 2, "write height x width"),
        (["filters", "nested.keras", "--size", "32x32"], 2, "this network cannot take it"),
        (["filters", "photo.keras"], 1, "cannot be read as a Keras model"),
    ],
)
def test_what_cannot_be_looked_into_ends_with_one_line(
    words: list[str], status: int, reason: str, files: Path, tmp_path: Path
) -> None:
    there = [str(files / word) if (files / word).is_file() else word for word in words]
    found, error = look(*there, "--out", tmp_path / "out")
    assert (found, error.count("\n")) == (status, 1), error
    assert reason in error
    assert not list(tmp_path.iterdir())
