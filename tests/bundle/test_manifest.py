"""The manifest has no defaults: what is missing, unknown or mistyped is named."""

from pathlib import Path
from typing import Any

import pytest

from bundle import files, manifest, strict
from bundle.errors import BundleError
from bundle.manifest import MANIFEST, Manifest
from tests.bundle.folders import FEATURE_MAP, LABELS, UNSEALED, edit_manifest, sealed
from tests.bundle.pictures import PLAIN

TOP = Manifest.__struct_fields__
NESTED = [
    (name, key)
    for name in ("preprocess", "feature_map", "provenance")
    for key in getattr(UNSEALED, name).__struct_fields__
]
IN_LISTS = [
    (name, 0, key)
    for name in ("inputs", "outputs", "precisions")
    for key in getattr(UNSEALED, name)[0].__struct_fields__
]


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        files.verify(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder / MANIFEST}: ")
    return message


@pytest.mark.parametrize("path", [*((key,) for key in TOP), *NESTED, *IN_LISTS], ids=str)
def test_a_missing_key_is_named(tmp_path: Path, path: tuple[str | int, ...]) -> None:
    edit_manifest(sealed(tmp_path), *path, delete=True)
    assert f"missing required field `{path[-1]}`" in refusal(tmp_path)


@pytest.mark.parametrize("parents", [(), ("preprocess",), ("feature_map",), ("inputs", 0), ("precisions", 0)], ids=str)
def test_an_unknown_key_is_named(tmp_path: Path, parents: tuple[str | int, ...]) -> None:
    edit_manifest(sealed(tmp_path), *parents, "colour_space", value="sRGB")
    assert "unknown field `colour_space`" in refusal(tmp_path)


@pytest.mark.parametrize("key", TOP)
def test_a_key_of_the_wrong_type_is_named(tmp_path: Path, key: str) -> None:
    edit_manifest(sealed(tmp_path), key, value=True)
    message = refusal(tmp_path)
    assert f"`$.{key}`" in message
    assert "got `bool`" in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "seethrough.bundle/2"),
        (("kind",), "regression"),
        (("labels",), ["only one"]),
        (("minimum_top1_agreement",), 1.5),
        (("preprocess", "height"), 0),
        (("preprocess", "width"), "28"),
        (("preprocess", "crop"), 0),
        (("preprocess", "fit"), "squeeze"),
        (("preprocess", "background"), [0, 0, 256]),
        (("precisions", 0, "tolerance", "heatmaps"), -1e-6),
        (("feature_map", "channels"), 0),
        (("precisions",), []),
        (("explanations",), []),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_named(tmp_path: Path, path: tuple[str | int, ...], value: Any) -> None:
    edit_manifest(sealed(tmp_path), *path, value=value)
    named = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    assert f"`${named}" in refusal(tmp_path)


def test_labels_that_repeat_are_refused(tmp_path: Path) -> None:
    edit_manifest(sealed(tmp_path), "labels", value=["cat", "dog", "cat"])
    assert "`labels` must be different from each other" in refusal(tmp_path)


def test_explanations_that_repeat_are_refused(tmp_path: Path) -> None:
    edit_manifest(sealed(tmp_path), "explanations", value=["gradcam", "gradcam"])
    assert "`explanations` must be different from each other" in refusal(tmp_path)


def test_only_a_graph_that_carries_several_explanations_takes_the_methods() -> None:
    several, _ = manifest.signature(PLAIN, 3, FEATURE_MAP, ["layercam", "gradcam"])
    one, _ = manifest.signature(PLAIN, 3, FEATURE_MAP, ["layercam"])
    assert [tensor.name for tensor in several] == ["pixels", "targets", "methods"]
    assert [tensor.name for tensor in one] == ["pixels", "targets"]


@pytest.mark.parametrize("key", ["file", "predict_file"])
def test_a_precision_whose_file_has_no_checksum_is_refused(tmp_path: Path, key: str) -> None:
    edit_manifest(sealed(tmp_path), "precisions", 0, key, value="other.onnx")
    assert "`precisions` names other.onnx, which is not among `files`" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("labels",), [*LABELS, "bat"]),
        (("preprocess", "height"), 9),
        (("preprocess", "colour"), "grey"),
        (("feature_map", "width"), 4),
        (("explanations",), ["gradcam", "hirescam"]),
        (("inputs", 0, "name"), "input"),
        (("outputs", 1, "dtype"), "int64"),
    ],
    ids=str,
)
def test_tensors_that_contradict_the_rest_of_the_manifest_are_refused(
    tmp_path: Path, path: tuple[str | int, ...], value: Any
) -> None:
    edit_manifest(sealed(tmp_path), *path, value=value)
    assert "`inputs` and `outputs` do not match" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"schema": NaN}'])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json: "):
        manifest.read(tmp_path)


def test_what_was_written_is_read_back_equal(tmp_path: Path) -> None:
    strict.write(tmp_path / MANIFEST, UNSEALED)
    assert manifest.read(tmp_path) == UNSEALED


def test_the_input_shape_follows_the_colour_mode() -> None:
    assert UNSEALED.input_shape == (8, 8, 3)
