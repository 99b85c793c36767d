"""Grad-CAM compiled into small graphs: a case worked out by hand, targets, ties, maps without evidence, refusals."""

import subprocess
import sys

import numpy as np
import onnx
import pytest

from bundle.manifest import Method
from exporter.errors import UnsupportedGraphError
from exporter.gradcam import explain
from tests.bundles import make_classifier
from tests.exporter.graphs import every_row, parse, run

# Two channels on a 2x2 picture x: A0 = relu(x) and A1 = relu(3 - x); then one dense layer over [A0, A1], two classes.
BY_HAND = """
classifier (uint8[N,2,2,1] pixels) => (float[N,2] probabilities)
<float[2,1,1,1] kernel = {1, -1}, float[2] offset = {0, 3}, float[8,2] weights = {
    1, -1,   0, -1,   0, -1,   1, -1,
    0,  1,  -2,  1,   1,  1,   0,  1}>
{
    x = Cast<to = 1>(pixels)
    channels_first = Transpose<perm = [0, 3, 1, 2]>(x)
    conv = Conv(channels_first, kernel, offset)
    map = Relu(conv)
    flat = Flatten(map)
    score = MatMul(flat, weights)
    probabilities = Softmax(score)
}
"""

# The score of class k is the mean of the picture plus a constant of its own, so that equal constants are equal classes.
MEAN = """
classifier (uint8[N,2,2,1] pixels) => (float[N,{labels}] probabilities)
<float[1,1,1,1] kernel = {{1}}, float[1,{labels}] weights = {{{weights}}}, float[{labels}] bias = {{{bias}}}>
{{
    x = Cast<to = 1>(pixels)
    channels_first = Transpose<perm = [0, 3, 1, 2]>(x)
    map = Conv(channels_first, kernel)
    mean = GlobalAveragePool(map)
    flat = Flatten(mean)
    score = Gemm(flat, weights, bias)
    probabilities = {activation}(score)
}}
"""

METHODS: list[Method] = ["gradcam", "hirescam", "layercam"]
PICTURE = np.array([[[[1], [2]], [[3], [4]]]], np.uint8)


def test_a_case_computed_by_hand() -> None:
    """pixels = [[1, 2], [3, 4]], so A0 = [[1, 2], [3, 4]] and A1 = [[2, 1], [0, 0]].

    class 0: dscore/dA0 = [[1, 0], [0, 1]], mean 1/2; dscore/dA1 = [[0, -2], [1, 0]], mean -1/4.
             1/2 A0 - 1/4 A1 = [[0, 3/4], [3/2, 2]], divided by its maximum 2: [[0, 3/8], [3/4, 1]].
    class 1: means -1 and 1. A1 - A0 = [[1, -1], [-3, -4]], without the negative [[1, 0], [0, 0]].
    """
    explained = explain(parse(BY_HAND))

    _, heatmaps = run(explained.model, pixels=PICTURE, targets=every_row(1, 0, 1))

    assert (explained.tensor, explained.channels) == ("map", 2)
    np.testing.assert_allclose(heatmaps, np.array([[[[0, 3 / 8], [3 / 4, 1]], [[1, 0], [0, 0]]]]), atol=1e-6)


def test_the_same_case_by_the_other_methods() -> None:
    """class 0: G A = [[1, 0], [0, 4]] + [[0, -2], [0, 0]]; of G1 = [[0, -2], [1, 0]] LayerCAM keeps the 1, where A1 is 0.
    class 1: G0 = -1 and G1 = 1 everywhere: A1 - A0 = [[1, -1], [-3, -4]] for HiResCAM, A1 = [[2, 1], [0, 0]] for LayerCAM.
    """
    hirescam, layercam = (
        run(explain(parse(BY_HAND), None, [method]).model, pixels=PICTURE, targets=every_row(1, 0, 1))[1]
        for method in METHODS[1:]
    )

    np.testing.assert_allclose(hirescam, np.array([[[[1 / 4, 0], [0, 1]], [[1, 0], [0, 0]]]]), atol=1e-6)
    np.testing.assert_allclose(layercam, np.array([[[[1 / 4, 0], [0, 1]], [[1, 1 / 2], [0, 0]]]]), atol=1e-6)


def test_a_graph_of_several_methods_takes_one_for_each_target_and_the_first_for_what_is_none() -> None:
    model = parse(BY_HAND)
    alone = [
        run(explain(model, None, [method]).model, pixels=PICTURE, targets=every_row(1, 1))[1][0, 0]
        for method in METHODS
    ]

    methods = np.array([[2, 0, 1, 3, -1]])
    _, together = run(
        explain(model, None, METHODS).model, pixels=PICTURE, targets=every_row(1, *[1] * 5), methods=methods
    )

    np.testing.assert_allclose(together[0], [alone[2], alone[0], alone[1], alone[0], alone[0]], atol=1e-6)


def test_probabilities_are_those_of_the_model_before() -> None:
    model = parse(BY_HAND)
    pixels = np.random.default_rng(1).integers(0, 4, (5, 2, 2, 1), np.uint8)

    (before,) = run(model, pixels=pixels)
    after, _ = run(explain(model).model, pixels=pixels, targets=every_row(5, -1))

    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(("scores", "activation", "added"), [(3, "Softmax", 0), (3, "Sigmoid", 0), (1, "Sigmoid", 2)])
def test_probabilities_need_neither_targets_nor_backward_pass(scores: int, activation: str, added: int) -> None:
    """One sigmoid p adds two operators to its model: 1 - p, and putting both side by side."""
    before = make_classifier(np.random.default_rng(0), (12, 16, 3), scores, activation)

    needed = nodes_behind(explain(before).model, "probabilities")

    assert len(needed) == len(before.graph.node) + added
    assert not any("targets" in node.input for node in needed)


@pytest.mark.parametrize("pictures", [1, 5])
@pytest.mark.parametrize("asked", [1, 3])
def test_every_picture_and_class_gets_the_map_it_gets_alone(pictures: int, asked: int) -> None:
    random = np.random.default_rng(0)
    model = explain(make_classifier(random, (12, 16, 3), 4, "Softmax")).model
    pixels = random.integers(0, 256, (pictures, 12, 16, 3), np.uint8)
    targets = random.integers(-4, 4, (pictures, asked))

    _, heatmaps = run(model, pixels=pixels, targets=targets)

    assert heatmaps.shape == (pictures, asked, 10, 14)
    for n, m in np.ndindex(pictures, asked):
        _, alone = run(model, pixels=pixels[n : n + 1], targets=targets[n : n + 1, m : m + 1])
        np.testing.assert_allclose(heatmaps[n, m], alone[0, 0], atol=1e-6)


@pytest.mark.parametrize("scores", [1, 3])
def test_no_targets_give_probabilities_and_no_heatmaps(scores: int) -> None:
    model = explain(make_classifier(np.random.default_rng(0), (12, 16, 3), scores, "Sigmoid")).model

    probabilities, heatmaps = run(model, pixels=np.zeros((5, 12, 16, 3), np.uint8), targets=np.zeros((5, 0), np.int64))

    assert (probabilities.shape, heatmaps.shape) == ((5, max(2, scores)), (5, 0, 10, 14))


def test_no_pictures_give_no_answers() -> None:
    model = explain(make_classifier(np.random.default_rng(0), (12, 16, 3), 3, "Softmax")).model

    probabilities, heatmaps = run(model, pixels=np.zeros((0, 12, 16, 3), np.uint8), targets=np.zeros((0, 2), np.int64))

    assert (probabilities.shape, heatmaps.shape) == ((0, 3), (0, 2, 10, 14))


def test_heatmaps_lie_between_zero_and_one_and_reach_one_where_there_is_evidence() -> None:
    random = np.random.default_rng(0)
    model = explain(make_classifier(random, (12, 16, 3), 5, "Softmax")).model

    _, heatmaps = run(
        model, pixels=random.integers(0, 256, (20, 12, 16, 3), np.uint8), targets=every_row(20, *range(5))
    )

    assert heatmaps.min() == 0
    assert set(heatmaps.max(axis=(2, 3)).ravel()) == {0.0, 1.0}


def test_a_class_without_positive_evidence_has_a_map_of_zeros() -> None:
    model = explain(parse(MEAN.format(labels=2, weights="1, -1", bias="0, 0", activation="Softmax"))).model

    _, heatmaps = run(model, pixels=PICTURE, targets=every_row(1, 0, 1))

    np.testing.assert_allclose(heatmaps[0, 0], [[1 / 4, 2 / 4], [3 / 4, 1]], atol=1e-6)
    np.testing.assert_array_equal(heatmaps[0, 1], np.zeros((2, 2)))


def test_a_black_picture_has_maps_of_zeros_and_no_nan() -> None:
    _, heatmaps = run(
        explain(parse(MEAN.format(labels=2, weights="1, -1", bias="0, 0", activation="Softmax"))).model,
        pixels=np.zeros((1, 2, 2, 1), np.uint8),
        targets=every_row(1, -1, -2),
    )

    np.testing.assert_array_equal(heatmaps, np.zeros((1, 2, 2, 2)))


def test_a_negative_target_is_a_rank_and_equal_classes_rank_by_number() -> None:
    """Scores 0, 6, 6, 20, 6: ranked 3, 1, 2, 4, 0. Only classes 1 and 4 weigh the map, so only they have one."""
    text = MEAN.format(labels=5, weights="0, 1, 0, 0, 1", bias="0, 5, 6, 20, 5", activation="Softmax")
    picture = np.ones((1, 2, 2, 1), np.uint8)

    probabilities, heatmaps = run(explain(parse(text)).model, pixels=picture, targets=every_row(1, -1, -2, -3, -4, -5))

    assert probabilities[0, 1] == probabilities[0, 2] == probabilities[0, 4]
    assert list(heatmaps.max(axis=(2, 3))[0]) == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("target", [2, 99, -3, -99, np.iinfo(np.int64).max, np.iinfo(np.int64).min])
def test_a_target_that_names_no_class_has_a_map_of_zeros_and_disturbs_no_other(target: int) -> None:
    model = explain(parse(BY_HAND)).model

    _, heatmaps = run(model, pixels=np.repeat(PICTURE, 2, axis=0), targets=np.array([[target, 0], [1, target]]))

    assert not heatmaps[0, 0].any()
    assert not heatmaps[1, 1].any()
    np.testing.assert_allclose(heatmaps[0, 1], [[0, 3 / 8], [3 / 4, 1]], atol=1e-6)
    np.testing.assert_allclose(heatmaps[1, 0], [[1, 0], [0, 0]], atol=1e-6)


def test_one_sigmoid_answers_two_classes_explained_by_the_logit_and_its_negative() -> None:
    """logit = 2 - mean x = -1/2: the map of class 1 has weight -1/4, that of class 0 has +1/4."""
    explained = explain(parse(MEAN.format(labels=1, weights="-1", bias="2", activation="Sigmoid")))

    probabilities, heatmaps = run(explained.model, pixels=PICTURE, targets=every_row(1, 0, 1, -1, -2))

    p = 1 / (1 + np.exp(0.5))
    evidence = np.array([[1 / 4, 2 / 4], [3 / 4, 1]])
    nothing = np.zeros((2, 2))
    assert (explained.kind, explained.labels) == ("binary", 2)
    np.testing.assert_allclose(probabilities, [[1 - p, p]], atol=1e-6)
    np.testing.assert_allclose(heatmaps[0], np.stack([evidence, nothing, evidence, nothing]), atol=1e-6)


def test_several_sigmoids_are_labels_of_their_own_each_explained_by_its_logit() -> None:
    softmax = MEAN.format(labels=2, weights="1, -1", bias="0, 2", activation="Softmax")
    asked = every_row(1, 0, 1)

    explained = explain(parse(softmax.replace("Softmax", "Sigmoid")))

    probabilities, heatmaps = run(explained.model, pixels=PICTURE, targets=asked)
    assert (explained.kind, explained.labels) == ("multilabel", 2)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp([[-2.5, 0.5]])), atol=1e-6)
    np.testing.assert_array_equal(heatmaps, run(explain(parse(softmax)).model, pixels=PICTURE, targets=asked)[1])


@pytest.mark.parametrize(
    "end",
    [
        "four = Unsqueeze(score, hw) soft = Softmax<axis = 1>(four) probabilities = Squeeze(soft, hw)",
        "four = Unsqueeze(score, hw) soft = Softmax<axis = -3>(four) probabilities = Flatten(soft)",
        "soft = Softmax(score) probabilities = Identity(soft)",
    ],
)
def test_what_only_renames_the_probabilities_does_not_hide_the_softmax(end: str) -> None:
    text = BY_HAND.replace("probabilities = Softmax(score)", end)
    text = text.replace("<float[2,1,1,1]", "<int64[2] hw = {2, 3}, float[2,1,1,1]")

    _, heatmaps = run(explain(parse(text)).model, pixels=PICTURE, targets=every_row(1, 0, 1))

    np.testing.assert_allclose(heatmaps, np.array([[[[0, 3 / 8], [3 / 4, 1]], [[1, 0], [0, 0]]]]), atol=1e-6)


def test_an_operator_without_a_rule_is_named_with_its_node_and_the_way_out() -> None:
    model = parse(BY_HAND.replace("score = MatMul(flat, weights)", "odd = Sin(flat) score = MatMul(odd, weights)"))
    next(node for node in model.graph.node if node.op_type == "Sin").name = "head/odd"

    with pytest.raises(UnsupportedGraphError, match=r"operator Sin \(node 'head/odd'\).*no gradient rule.*--layer"):
        explain(model)


NOT_CLASSIFIERS = {
    "ends in scores": ("probabilities = Identity(score)", "is not a softmax or sigmoid"),
    "a softmax of one": (
        "one = Slice(score, start, end, axis) probabilities = Softmax(one)",
        "is a Softmax over 1 of 1 values",
    ),
    "a softmax over half of the values": (
        "pairs = Reshape(score, two) halves = Softmax<axis = 1>(pairs) probabilities = Flatten(halves)",
        "is a Softmax over 1 of 2 values",
    ),
}


@pytest.mark.parametrize("ending", NOT_CLASSIFIERS)
def test_what_is_not_a_classifier_is_refused(ending: str) -> None:
    end, reason = NOT_CLASSIFIERS[ending]
    text = BY_HAND.replace("probabilities = Softmax(score)", end)
    text = text.replace(
        "<float[2,1,1,1]",
        "<int64[3] two = {-1, 1, 2}, int64[1] start = {0}, int64[1] end = {1}, int64[1] axis = {1}, float[2,1,1,1]",
    )
    labels = 1 if "one" in end else 2

    with pytest.raises(UnsupportedGraphError, match=reason):
        explain(parse(text.replace("float[N,2] prob", f"float[N,{labels}] prob")))


def test_a_second_output_is_refused() -> None:
    text = BY_HAND.replace("=> (float[N,2] probabilities)", "=> (float[N,2] probabilities, float[N,2] score)")

    with pytest.raises(UnsupportedGraphError, match="one input and one output, this graph has 1 and 2"):
        explain(parse(text))


def test_an_older_opset_is_refused_with_the_one_that_is_needed() -> None:
    model = parse(BY_HAND)
    model.opset_import[0].version = 13

    with pytest.raises(UnsupportedGraphError, match="is of opset 13; export it with opset 18"):
        explain(model)


def test_grad_cam_on_onnx_needs_no_training_framework() -> None:
    code = (
        "import sys, exporter.gradcam; "
        "print(sorted({'tensorflow', 'keras', 'tf2onnx', 'torch'} & {name.split('.')[0] for name in sys.modules}))"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout == "[]\n"


def nodes_behind(model: onnx.ModelProto, output: str) -> list[onnx.NodeProto]:
    """The nodes that have to run for `output`."""
    needed, nodes = {output}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            nodes.append(node)
    return nodes
