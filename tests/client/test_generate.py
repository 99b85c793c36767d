"""Text from a model that tells the next character: what the temperature and the seed decide."""

from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from client.generate import BYTES, Text, generate, tempered, window_of
from client.tensors import TensorInfo, TensorModel

LIKELY = np.zeros(BYTES, np.float32)
LIKELY[[0, ord("a"), ord("b"), ord("c"), ord("d")]] = 0.2, 0.4, 0.2, 0.15, 0.05


def always(_: Text) -> NDArray[np.float32]:
    """A model that answers the same whatever the text is."""
    return LIKELY


def written(temperature: float, seed: int | None = 0, length: int = 300) -> str:
    return "".join(islice(generate(always, 8, "", temperature, seed), length))


def test_a_low_temperature_is_less_varied_than_a_high_one() -> None:
    shares = [written(temperature).count("a") / 300 for temperature in (0.2, 0.5, 1.0, 1.2)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.9
    assert shares[-1] < 0.6


def test_the_same_seed_writes_the_same_text_and_another_one_another() -> None:
    assert written(1.0, seed=7) == written(1.0, seed=7)
    assert written(1.0, seed=7) != written(1.0, seed=8)


def test_at_temperature_one_the_chances_are_the_models_without_padding() -> None:
    expected = LIKELY.astype(np.float64)
    expected[0] = 0
    np.testing.assert_allclose(tempered(LIKELY, 1.0), expected / expected.sum(), rtol=1e-6)


def test_towards_zero_the_most_probable_is_certain() -> None:
    assert tempered(LIKELY, 0.01)[ord("a")] == pytest.approx(1)


def test_the_model_is_shown_the_end_of_the_text_with_zeros_before_a_short_one() -> None:
    shown: list[bytes] = []

    def next_in_the_alphabet(text: Text) -> NDArray[np.float32]:
        shown.append(text.tobytes())
        answer = np.zeros(BYTES, np.float32)
        answer[text[-1] + 1] = 1
        return answer

    assert "".join(islice(generate(next_in_the_alphabet, 4, "bc", 1.0, 0), 4)) == "defg"
    assert shown == [b"\0\0bc", b"\0bcd", b"bcde", b"cdef"]
    assert "".join(islice(generate(next_in_the_alphabet, 4, "a long one: k", 1.0, 0), 2)) == "lm"
    assert shown[4] == b"e: k"


def test_characters_of_several_bytes_come_out_whole() -> None:
    text = "é€".encode()

    def spelling(shown: Text) -> NDArray[np.float32]:
        answer = np.zeros(BYTES, np.float32)
        answer[text[int(np.count_nonzero(shown)) % len(text)]] = 1
        return answer

    assert "".join(islice(generate(spelling, 9, "", 1.0, 0), len(text))) == "é€"


@pytest.mark.parametrize(
    ("takes", "gives"),
    [(("FP32", (8,)), ("FP32", (256,))), (("UINT8", (8,)), ("FP32", (10,))), (("UINT8", (8, 8, 3)), ("FP32", (256,)))],
)
def test_a_model_of_another_kind_is_refused_by_name(
    takes: tuple[str, tuple[int, ...]], gives: tuple[str, tuple[int, ...]]
) -> None:
    model = TensorModel("penguins", (TensorInfo("x", *takes),), (TensorInfo("y", *gives),), (), None)
    with pytest.raises(ValueError, match="penguins is no generator of text"):
        window_of(model)
