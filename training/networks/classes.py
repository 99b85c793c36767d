"""What a classifier answers: how many classes, and whether they exclude each other."""

from dataclasses import dataclass

from bundle.manifest import Kind


@dataclass(frozen=True)
class Classes:
    """The answer of a classifier; it decides the last layer of a network and the loss it is trained on."""

    kind: Kind  # multiclass: one of several; binary: one of two, by one sigmoid; multilabel: any of several
    count: int  # labels, two for binary

    @property
    def units(self) -> int:
        """Numbers that the last layer gives: one for each label, one in all for two classes."""
        return 1 if self.kind == "binary" else self.count

    @property
    def activation(self) -> str:
        """What makes probabilities of the last layer's scores."""
        return "softmax" if self.kind == "multiclass" else "sigmoid"

    @property
    def loss(self) -> str:
        """The cross-entropy, by Keras' name."""
        return "sparse_categorical_crossentropy" if self.kind == "multiclass" else "binary_crossentropy"
