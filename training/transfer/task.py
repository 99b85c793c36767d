"""The keys of a recipe file with task = "transfer"."""

from typing import TYPE_CHECKING, Literal

from bundle import strict
from training.errors import RecipeError
from training.networks.parts import Head, Layers
from training.optimisation import Training
from training.tasks.pictures import OfPictures
from training.transfer.bases import Base

if TYPE_CHECKING:
    import keras

    from training.trainer import Taught
    from training.transfer.network import Network


class NoFineTuning(strict.Document, frozen=True, tag_field="name", tag="none"):
    """The base stays frozen."""


class FromLayer(strict.Document, frozen=True, tag_field="name", tag="from-layer"):
    """When the head has learnt, the base learns too from its layer `first` on; the best epoch of both is kept."""

    first: str  # the layer's name, for example block5_conv1
    training: Training  # with a small learning rate


class Transfer(OfPictures, frozen=True, tag_field="task", tag="transfer"):
    """A recipe file with task = "transfer": a frozen base, and a head that is trained as [training] says."""

    base: Base
    # How often the base looks at a training picture. "once": its answers are stored in `cache`, and there can be no
    # augmentation; "every epoch": end to end.
    features: Literal["once", "every epoch"]
    cache: str  # folder for the answers; it can be deleted at any time
    layers: Layers  # of the dense layers of the head
    head: Head
    fine_tuning: NoFineTuning | FromLayer

    def build(self) -> "keras.Model":
        """The untrained network. Raises RecipeError when it does not fit its pictures, DataError without the base's file."""
        return self._assembled(self.base.untrained(self.preprocess.shape)).model

    def assembled(self) -> "Network":
        """Base and head, the base trained. Raises RecipeError, and DataError when the base cannot be had."""
        if self.features == "once" and self.augmentation:
            raise RecipeError(
                'features: "once" sees no augmented pictures; set features = "every epoch" or augmentation = []'
            )
        network = self._assembled(self.base.trained(self.preprocess.shape))
        if isinstance(self.fine_tuning, FromLayer):
            network.position(self.fine_tuning.first)
        return network

    def _assembled(self, base: "keras.Model") -> "Network":
        from training.transfer.network import assembled

        return assembled(base, self.head, self.layers, self.classes)

    def taught(self, name: str) -> "Taught":
        """Head and base when they have learnt."""
        from training.transfer import trainer

        return trainer.taught(name, self)
