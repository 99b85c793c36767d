"""Text from a model that tells the next character: it is asked again and again, each time with its own answers.

The temperature decides how bold the choice is among its answers. It is the client's: the server's answer stays the model's, and one
model serves the careful and the bold in the same batch.
"""

import codecs
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from client.tensors import TensorModel

BYTES = 256
_PADDING = 0  # stands before a text that is shorter than the model's input

Text = NDArray[np.uint8]  # [length], the last characters so far
Next = Callable[[Text], NDArray[np.float32]]  # -> probabilities [256] of each byte to be the next


def window_of(model: TensorModel) -> int:
    """How many characters `model` is told the next one from. Raises ValueError when it is no model of this kind."""
    takes = [(each.datatype, len(each.shape)) for each in model.inputs]
    gives = [(each.datatype, each.shape) for each in model.outputs]
    if (takes, gives) != ([("UINT8", 1)], [("FP32", (BYTES,))]):
        raise ValueError(
            f"{model.name} is no generator of text: that takes bytes, UINT8 [n, length], and answers with a probability for each of "
            f"the {BYTES} bytes, FP32 [n, {BYTES}]"
        )
    return model.inputs[0].shape[0]


def generate(following: Next, window: int, prompt: str, temperature: float, seed: int | None) -> Iterator[str]:
    """Characters that go on from `prompt`, without end; the same for the same `seed`, other ones each time without it.

    following    the model
    window       how many characters it takes; shorter text is padded with zeros in front
    temperature  the probabilities p become p^(1/temperature), divided by their sum: below 1 the probable ones gain, towards 0 the
                 most probable one is always taken; above 1 the improbable ones gain
    """
    random = np.random.default_rng(seed)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = np.zeros(window, np.uint8)
    given = np.frombuffer(prompt.encode()[-window:], np.uint8)
    text[window - len(given) :] = given
    while True:
        chosen = random.choice(BYTES, p=tempered(following(text), temperature))
        text = np.append(text[1:], np.uint8(chosen))
        yield decoder.decode(bytes([chosen]))  # empty within a character of several bytes


def tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """What to choose the next byte by: float64 [256], sums to 1. Padding is never chosen."""
    with np.errstate(divide="ignore"):
        scores = np.log(probabilities.astype(np.float64)) / temperature
    scores[_PADDING] = -np.inf
    powers = np.exp(scores - scores.max())
    chances: NDArray[np.float64] = powers / powers.sum()
    return chances
