"""A head on a frozen base: what is trained and what is not, the stored features, fine-tuning, and what is refused."""

from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import exporter.__main__
from bench.server_process import serving
from bundle import run as runs
from client import Client, Explain
from training import fit, recipe
from training.__main__ import app
from training.data.dataset import SplitName
from training.fit import Epoch, Examples, Outcome
from training.transfer import features
from training.transfer.task import Transfer
from training.transfer.trainer import joined

DIGITS = "data={name='digits', validation=180, test=360, seed=1}"
FROM_CONV2 = "{name='from-layer', first='conv2', training={epochs=1, batch_size=64, optimiser={name='adam'}, "
FROM_CONV2 += "learning_rate=0.001, schedule={name='constant'}, patience=1, seed=1}}"
VGG = ["base.weights=none", "features=once", "augmentation=[]"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.keras with two convolutions and a batch normalisation, random weights."""
    keras.utils.set_random_seed(1)
    blocks = "[{filters=4, kernel=5, pool=2, dropout=0.0}, {filters=8, kernel=3, pool=2, dropout=0.0}]"
    changes = [f"network.blocks={blocks}", "network.layers.batch_normalisation=true"]
    path = tmp_path_factory.mktemp("base") / "model.keras"
    recipe.of_pictures("digits", changes).build().save(path)
    return path


def changes(base: Path, folder: Path, *more: str) -> list[str]:
    words = [DIGITS, f"base={{name='file', path='{base}'}}", f"cache={folder / 'cache'}", "training.epochs=2", *more]
    return ["head.dense=[]", "fine_tuning={name='none'}", *words]


def chosen(base: Path, folder: Path, *more: str) -> Transfer:
    found = recipe.load("clothes-transfer", changes(base, folder, *more))
    assert isinstance(found, Transfer)
    return found


def run(base: Path, folder: Path, *more: str) -> tuple[int, str]:
    settings = [word for change in changes(base, folder, *more) for word in ("--set", change)]
    result = CliRunner().invoke(app, ["run", "clothes-transfer", "--out", str(folder / "run"), *settings])
    return result.exit_code, result.stderr


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run folder, and what was said on the way."""
    folder = tmp_path_factory.mktemp("runs")
    status, told = run(base, folder)
    assert status == 0, told
    return folder / "run", told


def weights(model: keras.Model, layer: str) -> np.ndarray:
    return np.asarray(model.get_layer(layer).get_weights()[0])


def test_vgg16_has_the_notes_numbers_of_parameters() -> None:
    vgg = recipe.load("cats-and-dogs-vgg16", VGG)
    assert isinstance(vgg, Transfer)
    network = vgg.assembled()
    assert (network.trainable, network.model.count_params()) == (2_097_665, 16_812_353)
    assert network.trainable_in_base == 0
    network.unfreeze("block5_conv1")
    assert network.trainable_in_base == 7_079_424
    assert network.model.get_layer("block5_pool").output.shape[1:] == (4, 4, 512)


def test_only_the_head_is_trained(base: Path, trained: tuple[Path, str]) -> None:
    out, told = trained
    before, after = keras.models.load_model(base), keras.models.load_model(out / runs.KERAS_MODEL)
    for layer in ("conv1", "conv2", "conv2_normalisation"):
        for old, new in zip(before.get_layer(layer).get_weights(), after.get_layer(layer).get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    head = after.get_layer("probabilities").count_params()
    assert f"{head:,} of {runs.read(out).parameters:,} parameters are trained" in told


def test_stored_features_train_the_head_as_the_base_itself_would(base: Path, tmp_path: Path) -> None:
    taught = []
    for way in ("once", "every epoch"):
        given = chosen(base, tmp_path, f"features={way}")
        fit.make_reproducible(1)
        taught.append(given.taught("digits"))
    fast, slow = (each.model for each in taught)
    np.testing.assert_allclose(weights(fast, "probabilities"), weights(slow, "probabilities"), atol=1e-3)
    assert taught[0].outcome.history[1].val_loss == pytest.approx(taught[1].outcome.history[1].val_loss, rel=1e-3)


def test_features_are_computed_once_and_damaged_ones_again(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extractor = chosen(base, tmp_path).assembled().extractor
    pixels = np.random.default_rng(0).integers(0, 256, (70, 28, 28, 1), dtype=np.uint8)

    def computed() -> np.ndarray:
        vectors, _ = features.of(extractor, "base", {"train": (pixels, np.zeros(70))}, tmp_path / "cache")["train"]
        return vectors

    np.testing.assert_allclose(computed(), extractor.predict(pixels, verbose=0), atol=1e-5)
    (stored,) = (tmp_path / "cache").iterdir()
    whole, written = stored.read_bytes(), stored.stat().st_mtime_ns
    computed()
    assert stored.stat().st_mtime_ns == written
    stored.write_bytes(whole[: len(whole) // 2])
    computed()
    assert "computed again" in capsys.readouterr().err
    assert [path.read_bytes() for path in (tmp_path / "cache").iterdir()] == [whole]


def test_another_pooling_has_features_of_its_own(base: Path, tmp_path: Path) -> None:
    examples: dict[SplitName, Examples] = {"train": (np.zeros((3, 28, 28, 1), np.uint8), np.zeros(3))}
    for number, vector in enumerate(("average", "max"), 1):
        extractor = chosen(base, tmp_path, f"head.vector={vector}").assembled().extractor
        features.of(extractor, "base", examples, tmp_path / "cache")
        assert len(list((tmp_path / "cache").iterdir())) == number


def test_fine_tuning_trains_the_base_from_the_named_layer_on(base: Path, tmp_path: Path) -> None:
    network = chosen(base, tmp_path, f"fine_tuning={FROM_CONV2}").assembled()
    network.unfreeze("conv2")
    assert {layer.name for layer in network.base if layer.trainable_weights} == {"conv2"}  # not its normalisation


def test_the_epochs_of_fine_tuning_follow_those_of_the_head(base: Path, tmp_path: Path) -> None:
    fit.make_reproducible(1)
    taught = chosen(base, tmp_path, f"fine_tuning={FROM_CONV2}").taught("digits")
    history = taught.outcome.history
    assert [epoch.number for epoch in history] == [1, 2, 3]
    assert history[2].val_loss < history[1].val_loss
    assert taught.answers("validation").metrics.loss == pytest.approx(history[2].val_loss, rel=1e-4)
    before = keras.models.load_model(base)
    np.testing.assert_array_equal(weights(taught.model, "conv1"), weights(before, "conv1"))
    assert np.abs(weights(taught.model, "conv2") - weights(before, "conv2")).max() > 1e-4


def outcome(*losses: float) -> Outcome:
    history = [Epoch(number, 0.0, 0.0, loss, 0.0, 0.0) for number, loss in enumerate(losses, 1)]
    return Outcome(history, int(np.argmin(losses)) + 1, interrupted=False)


@pytest.mark.parametrize(
    ("head", "base", "best"), [((3.0, 2.0), (1.0, 4.0), 3), ((3.0, 2.0), (5.0, 4.0), 2), ((2.0, 3.0), (2.0,), 1)]
)
def test_the_best_epoch_of_both_stages_is_kept(head: tuple[float, ...], base: tuple[float, ...], best: int) -> None:
    both = joined(outcome(*head), outcome(*base))
    assert both.best_epoch == best
    assert [epoch.number for epoch in both.history] == list(range(1, len(head) + len(base) + 1))


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ("base={name='file', path='nowhere.keras'}", 1, "base.path: there is no file nowhere.keras; train it first"),
        ("base={name='file', path='pyproject.toml'}", 1, "pyproject.toml: cannot be read as a Keras model"),
        ("base={name='recipe', recipe='clothes-base', weights='nowhere.keras'}", 1, "base.weights: there is no file"),
        ("base={name='recipe', recipe='penguins', weights='none'}", 2, "this is for recipes that classify pictures"),
        ("base={name='application', architecture='VGG16', weights='none'}", 2, 'set preprocess.colour = "rgb"'),
        ("base={name='application', architecture='VGG61', weights='none'}", 2, "did you mean VGG16"),
        ("base.wieghts=none", 2, "base.wieghts: there is no key"),
        (f"fine_tuning={FROM_CONV2.replace('conv2', 'covn2')}", 2, "the base has no layer 'covn2'; did you mean conv2"),
        (f"fine_tuning={FROM_CONV2.replace('conv2', 'pool2')}", 2, "from pool2 on the base has nothing to train"),
        ("augmentation=[{name='flip', axis='horizontal'}]", 2, 'features: "once" sees no augmented pictures'),
        ("preprocess.height=32", 2, "takes pictures [28, 28, 1], but preprocess gives [32, 28, 1]"),
    ],
)
def test_what_cannot_be_a_transfer_ends_with_one_line(
    change: str, status: int, reason: str, base: Path, tmp_path: Path
) -> None:
    found, error = run(base, tmp_path, change)
    assert (found, error.count("\n")) == (status, 1), error
    assert reason in error
    assert not (tmp_path / "run").exists()


def test_a_dense_network_cannot_be_a_base(tmp_path: Path) -> None:
    path = tmp_path / "dense.keras"
    recipe.of_pictures("fashion-dense", []).build().save(path)
    status, error = run(path, tmp_path)
    assert (status, error.count("\n")) == (1, 1)
    assert "has no layer with weights that gives a map" in error


def test_without_a_network_imagenet_weights_are_asked_for_as_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(**_: object) -> None:
        raise Exception("URL fetch failure on https://example.org/weights.h5")  # what Keras raises

    monkeypatch.setattr(keras.applications, "VGG16", fails)
    result = CliRunner().invoke(app, ["run", "cats-and-dogs-vgg16", "--out", str(tmp_path / "run")])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "its ImageNet weights are not here, and the download through Keras failed" in result.stderr
    assert "--set base.weights=PATH" in result.stderr


def test_a_transfer_run_is_exported_with_heatmaps_and_served_as_it_was_trained(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    served_as_trained(trained[0], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["Xception", "VGG16", "ResNet50", "MobileNetV2", "EfficientNetB0"])
def test_an_architecture_of_keras_learns_in_both_stages_and_is_served(architecture: str, tmp_path: Path) -> None:
    last = {
        "Xception": "block14_sepconv2", "VGG16": "block5_conv3", "ResNet50": "conv5_block3_3_conv", "MobileNetV2": "Conv_1",
        "EfficientNetB0": "top_conv",
    }[architecture]  # fmt: skip
    more = [
        "preprocess.height=71", "preprocess.width=71", "preprocess.colour=rgb", "training.epochs=1",
        f"base={{name='application', architecture='{architecture}', weights='none'}}", "head.vector=average",
        f"fine_tuning={FROM_CONV2.replace('conv2', last)}", "data.validation=1500", "data.test=60", f"cache={tmp_path / 'cache'}",
    ]  # fmt: skip
    settings = [word for change in [DIGITS, "head.dense=[]", *more] for word in ("--set", change)]
    result = CliRunner().invoke(app, ["run", "clothes-transfer", "--out", str(tmp_path / "run"), *settings])
    assert result.exit_code == 0, result.stderr
    served_as_trained(tmp_path / "run", tmp_path)


def served_as_trained(out: Path, folder: Path) -> None:
    """Exports and serves the run `out`, and compares the answers with those of the Keras model."""
    result = CliRunner().invoke(
        exporter.__main__.app, ["keras", str(out), "--out", str(folder / "models" / "it" / "1")]
    )
    assert result.exit_code == 0, result.stderr
    pixels, _ = runs.read_samples(out)
    expected = fit.probabilities(keras.models.load_model(out / runs.KERAS_MODEL), pixels[:2])
    with serving(folder / "models") as server, Client(server.grpc, timeout=60) as client:
        served = client.classify([*pixels[:2]], "it", top_k=10, explain=Explain())
    for answer, probabilities in zip(served.results, expected, strict=True):
        found = {each.label: each.probability for each in answer.predictions}
        np.testing.assert_allclose([found[label] for label in runs.read(out).labels], probabilities, atol=1e-4)
        assert answer.explanations
