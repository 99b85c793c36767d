"""Pictures in, probabilities of classes out: the recipes that become bundles of classifiers."""

from typing import TYPE_CHECKING

from training.networks import Network
from training.tasks.pictures import OfPictures

if TYPE_CHECKING:
    import keras

    from training.trainer import Taught


class Classification(OfPictures, frozen=True, tag_field="task", tag="classification"):
    """A recipe file with task = "classification"."""

    network: Network

    def build(self) -> "keras.Model":
        """The untrained network; raises RecipeError when it does not fit its input."""
        return self.network.build(self.preprocess.shape, self.classes)

    def taught(self, name: str) -> "Taught":
        """The network when it has learnt."""
        from training import trainer

        return trainer.taught(name, self)
