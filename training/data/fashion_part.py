"""Some classes of Fashion-MNIST, and as few labels of them as one likes: for a base and for what is learnt on top of it."""

from typing import Annotated, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bundle import strict
from bundle.manifest import Kind, Positive
from training.data import fashion
from training.data.dataset import ArrayPictures, Dataset, Split
from training.data.published import Part
from training.errors import RecipeError


class FashionPart(strict.Document, frozen=True, tag_field="name", tag="fashion-part"):
    """Recipe keys of a part of Fashion-MNIST; its test set is that of the classes, whole."""

    labels: Annotated[list[str], msgspec.Meta(min_length=3)]  # of Fashion-MNIST, in the order of the answers
    train: Positive  # pictures of each class
    validation: Positive  # of each class
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of the choice of pictures

    kind: ClassVar[Kind] = "multiclass"

    def load(self) -> Dataset:
        """Pictures uint8 of 28x28. Raises DataError as `fashion` does, and RecipeError for what that set does not have."""
        unknown = sorted(set(self.labels) - set(fashion.Fashion.labels))
        if unknown or len(set(self.labels)) < len(self.labels):
            raise RecipeError(
                f"data.labels: {', '.join(unknown) or 'a label twice'}; there are {', '.join(fashion.Fashion.labels)}"
            )
        learn, test = (_only(part, self.labels) for part in fashion.parts())
        random = np.random.default_rng(self.seed)
        shuffled = [random.permutation(np.flatnonzero(learn.labels == label)) for label in range(len(self.labels))]
        if self.train + self.validation > (least := min(map(len, shuffled))):
            raise RecipeError(f"data.train + data.validation: a class has {least:,} pictures")
        train = np.concatenate([members[: self.train] for members in shuffled])
        held_out = np.concatenate([members[self.train : self.train + self.validation] for members in shuffled])
        return Dataset(
            name="fashion-part",
            kind=self.kind,
            labels=self.labels,
            splits={
                "train": _split(learn, train),
                "validation": _split(learn, held_out),
                "test": _split(test, np.arange(len(test.labels))),
            },
        )


def _only(part: Part, labels: list[str]) -> Part:
    """The pictures of `labels`, which are numbered anew."""
    numbers = np.full(len(fashion.Fashion.labels), -1, np.int64)
    numbers[[fashion.Fashion.labels.index(label) for label in labels]] = np.arange(len(labels))
    anew = numbers[part.labels]
    return Part(part.pictures[anew >= 0], anew[anew >= 0])


def _split(part: Part, members: NDArray[np.int64]) -> Split:
    return Split(ArrayPictures(part.pictures[members]), part.labels[members])
