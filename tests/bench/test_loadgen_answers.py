"""Which answers count as right."""

import numpy as np
import pytest

from bench.loadgen import answers
from proto import open_inference_pb2 as v2

# Two pictures that a network with random weights can hardly tell apart, and one that it can.
EXPECTED = np.array([[0.4000, 0.6000], [0.4010, 0.5990], [0.9, 0.1]], np.float32)
judge = answers.expect(EXPECTED, answers.from_raw, answers.tolerance(EXPECTED))


def test_rounding_is_allowed() -> None:
    assert judge(0, (EXPECTED[0] + np.float32(1e-6)).tobytes()) == ""


def test_the_answer_to_the_most_similar_picture_is_wrong() -> None:
    assert "differ by 1.0e-03" in judge(0, EXPECTED[1].tobytes())


def test_an_answer_with_a_nan_is_wrong() -> None:
    assert judge(2, np.array([0.9, np.nan], np.float32).tobytes())


def test_an_answer_of_another_size_is_wrong() -> None:
    assert judge(2, EXPECTED[2, :1].tobytes()) == "1 probabilities instead of 2"
    assert judge(2, b"abc") == "3 bytes are not float32"


def test_pictures_whose_answers_differ_by_rounding_only_prove_nothing() -> None:
    alike = np.full((2, 1000), 0.001, np.float32)
    alike[1, 0] += 1e-7
    with pytest.raises(ValueError, match="choose others"):
        answers.tolerance(alike)


def test_probabilities_are_the_first_output_of_a_model_infer_response() -> None:
    response = v2.ModelInferResponse(raw_output_contents=[EXPECTED[2].tobytes(), b"heatmap"])
    assert np.array_equal(answers.from_model_infer(response.SerializeToString()), EXPECTED[2])


@pytest.mark.parametrize(
    ("answer", "reason"), [(b"", "no raw_output_contents"), (b"\xff\xff", "not a ModelInferResponse")]
)
def test_a_message_without_probabilities_is_wrong(answer: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        answers.from_model_infer(answer)
