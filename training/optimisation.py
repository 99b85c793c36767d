"""How a network is fitted, as recipe keys: optimiser, learning rate and its course, when to stop.

The same for every task. What Keras needs is made here and nowhere else, so that a recipe key has one meaning.
"""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from bundle import strict
from bundle.manifest import Positive

if TYPE_CHECKING:
    import keras

Rate = Any  # a number, or a learning rate schedule of Keras

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Factor = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class Adam(strict.Document, frozen=True, tag_field="name", tag="adam"):
    """Adam with its published settings (arXiv:1412.6980)."""

    def build(self, rate: Rate) -> "keras.optimizers.Optimizer":
        """The optimiser at `rate`."""
        from keras import optimizers

        return optimizers.Adam(rate)


class RmsProp(strict.Document, frozen=True, tag_field="name", tag="rmsprop"):
    """RMSprop (T. Tieleman and G. Hinton, 2012)."""

    rho: Share  # how much of the mean of squared gradients is kept at each step; 0.9 is usual

    def build(self, rate: Rate) -> "keras.optimizers.Optimizer":
        """The optimiser at `rate`."""
        from keras import optimizers

        return optimizers.RMSprop(rate, rho=self.rho)


class Sgd(strict.Document, frozen=True, tag_field="name", tag="sgd"):
    """Stochastic gradient descent."""

    momentum: Share  # 0 is none

    def build(self, rate: Rate) -> "keras.optimizers.Optimizer":
        """The optimiser at `rate`."""
        from keras import optimizers

        return optimizers.SGD(rate, momentum=self.momentum)


class Constant(strict.Document, frozen=True, tag_field="name", tag="constant"):
    """The learning rate stays. The other courses are this one with something changed."""

    def rate(self, start: float, steps: int, epochs: int) -> Rate:  # noqa: ARG002  one signature for all
        """The rate at the start, or as a function of the step, of which there are `steps` in each of `epochs`."""
        return start

    def callbacks(self) -> "list[keras.callbacks.Callback]":
        """What changes the rate between epochs."""
        return []


class Cosine(Constant, frozen=True, tag="cosine"):
    """The rate falls along half a cosine, to zero after the last epoch (arXiv:1608.03983)."""

    def rate(self, start: float, steps: int, epochs: int) -> Rate:
        """The rate as a function of the step."""
        from keras.optimizers import schedules

        return schedules.CosineDecay(start, decay_steps=steps * epochs)


class Step(Constant, frozen=True, tag="step"):
    """The rate is multiplied by `factor` after each `every` epochs."""

    every: Positive
    factor: Factor

    def rate(self, start: float, steps: int, epochs: int) -> Rate:  # noqa: ARG002  one signature for all
        """The rate as a function of the step."""
        from keras.optimizers import schedules

        return schedules.ExponentialDecay(start, self.every * steps, self.factor, staircase=True)


class Plateau(Constant, frozen=True, tag="plateau"):
    """The rate is multiplied by `factor` when the validation loss has not fallen for `patience` epochs."""

    patience: Positive
    factor: Factor

    def callbacks(self) -> "list[keras.callbacks.Callback]":
        """What lowers the rate after an epoch."""
        from keras import callbacks

        return [callbacks.ReduceLROnPlateau("val_loss", factor=self.factor, patience=self.patience, min_delta=0.0)]


Optimiser = Adam | RmsProp | Sgd
Schedule = Constant | Cosine | Step | Plateau


class Training(strict.Document, frozen=True):
    """How the network is fitted. The weights of the epoch with the lowest validation loss are the ones that are kept."""

    epochs: Positive  # at most
    batch_size: Positive
    optimiser: Optimiser
    learning_rate: Annotated[float, msgspec.Meta(gt=0)]  # at the start
    schedule: Schedule  # how it goes on
    patience: Positive  # epochs without a better validation loss after which training ends
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]  # of first weights, order of examples, dropout, augmentation
