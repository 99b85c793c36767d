"""What the tasks that answer with classes of pictures have in common."""

from pathlib import Path
from typing import TYPE_CHECKING

from bundle import strict
from bundle.preprocess import PreprocessSpec
from training.augmentation import Augmentation
from training.class_weights import ClassWeights
from training.data import Data
from training.networks.classes import Classes
from training.optimisation import Training
from training.tasks.common import Figure, Trained

if TYPE_CHECKING:
    from training.trainer import Taught


class OfPictures(strict.Document, frozen=True):
    """The keys that such recipes share, and the words about them."""

    summary: str
    notes: list[Figure]  # what the course notes found; empty for networks that they do not have
    data: Data
    preprocess: PreprocessSpec
    class_weights: ClassWeights  # what a picture of each class counts in the loss
    augmentation: list[Augmentation]  # what is done to pictures in training, in this order; empty for nothing
    training: Training

    @property
    def data_name(self) -> str:
        """The name of the data set."""
        return str(type(self.data).__struct_config__.tag)

    @property
    def input(self) -> str:
        """What the network takes: height x width x channels."""
        return "x".join(map(str, self.preprocess.shape))

    @property
    def output(self) -> str:
        """What it answers."""
        return f"{self.classes.count} classes" if self.data.kind != "multilabel" else f"{self.classes.count} labels"

    @property
    def classes(self) -> Classes:
        """What it answers, for the network and the loss."""
        return Classes(self.data.kind, len(self.data.labels))

    def taught(self, name: str) -> "Taught":
        """The recipe's network, called `name`, when it has learnt; raises what `train` raises."""
        raise NotImplementedError

    def train(self, name: str, out: Path, command: str) -> Trained:
        """Trains the network and writes the run folder `out`; see training.trainer.train for what it raises."""
        from training import trainer

        run = trainer.train(name, self, out, command)
        test = run.metrics["test"]
        return Trained(
            figures=f"test accuracy {test.accuracy:.4f}, loss {test.loss:.4f}, from epoch {run.best_epoch} of "
            f"{run.epochs}, {run.parameters:,} parameters, {run.seconds:.0f} s",
            note=f"stopped by Ctrl-C: this is epoch {run.best_epoch}, the best so far" if run.interrupted else "",
        )
