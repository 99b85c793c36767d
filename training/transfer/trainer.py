"""Training in two stages: the head on the frozen base, then the last layers of the base too."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event

from training import augmentation, fit, trainer
from training.data.dataset import SplitName
from training.fit import Examples, NothingLearnt, Objective, Outcome
from training.optimisation import Training
from training.progress import FitBar, console
from training.trainer import Taught
from training.transfer import features
from training.transfer.network import Network
from training.transfer.task import FromLayer, Transfer

Data = Mapping[SplitName, Examples]


def taught(name: str, recipe: Transfer) -> Taught:
    """Base and head of `recipe`, called `name`, when they have learnt.

    Raises RecipeError, DataError, TrainingError, and KeyboardInterrupt when it is stopped before the first epoch is complete.
    """
    network = recipe.assembled()
    dataset, examples = trainer.prepare(recipe)
    objective = trainer.objective(recipe, examples["train"][1])
    with fit.stop_on_ctrl_c(console.print) as stop:
        outcome = _learnt(name, recipe, network, objective, examples, stop)
    return Taught(dataset, examples, network.model, outcome)


def _learnt(
    name: str, recipe: Transfer, network: Network, objective: Objective, examples: Data, stop: Event
) -> Outcome:
    """Trains `network` and leaves it with the weights of the best epoch by validation loss, of either stage."""
    console.print(f"{name}: {network.words}", soft_wrap=True)
    first = _head(recipe, network, objective, examples, stop)
    if first.interrupted or not isinstance(recipe.fine_tuning, FromLayer):
        return first
    network.unfreeze(recipe.fine_tuning.first)
    console.print(f"{name}: from {recipe.fine_tuning.first} on: {network.words}", soft_wrap=True)
    kept = network.model.get_weights()
    try:
        second = _end_to_end(recipe, network, recipe.fine_tuning.training, objective, examples, stop)
    except NothingLearnt:
        network.model.set_weights(kept)
        return replace(first, interrupted=True)
    both = joined(first, second)
    if both.best_epoch == first.best_epoch:
        network.model.set_weights(kept)
    return both


def joined(first: Outcome, second: Outcome) -> Outcome:
    """Two stages as one: their epochs numbered through, the best one of all by validation loss, the earlier if equal."""
    done = len(first.history)
    history = [*first.history, *(replace(epoch, number=done + epoch.number) for epoch in second.history)]
    best = min((history[first.best_epoch - 1], history[done + second.best_epoch - 1]), key=lambda epoch: epoch.val_loss)
    return Outcome(history, best.number, second.interrupted)


def _head(recipe: Transfer, network: Network, objective: Objective, examples: Data, stop: Event) -> Outcome:
    """The head alone: on stored features, or behind the base and the augmentation."""
    if recipe.features == "every epoch":
        return _end_to_end(recipe, network, recipe.training, objective, examples, stop)
    known: Data = {split: examples[split] for split in ("train", "validation")}
    vectors = features.of(network.extractor, recipe.base.origin(), known, Path(recipe.cache))
    with FitBar(recipe.training.epochs, "6.2%") as watcher:
        return fit.fit(network.head, recipe.training, objective, vectors["train"], vectors["validation"], stop, watcher)


def _end_to_end(
    recipe: Transfer, network: Network, training: Training, objective: Objective, examples: Data, stop: Event
) -> Outcome:
    learner = augmentation.before(network.model, recipe.augmentation, training.seed)
    with FitBar(training.epochs, "6.2%") as watcher:
        return fit.fit(learner, training, objective, examples["train"], examples["validation"], stop, watcher)
