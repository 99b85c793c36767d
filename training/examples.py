"""The picture of `python -m training augmentation`: training pictures as they are, and as training could see them."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training import augmentation
from training.data.dataset import balanced
from training.style import DPI
from training.tasks.classification import Classification

COUNT, COLUMNS = 16, 4
WIDTH = 12  # inches


def draw(path: Path, recipe: Classification, seed: int) -> None:
    """16 pictures, from all classes, each in a pair: as it is, and after the recipe's steps."""
    dataset = recipe.data.load()
    split = dataset.splits["train"]
    members = np.random.default_rng(seed).permutation(balanced(split.labels, COUNT, seed))
    before = np.stack([split.pictures.pixels(member, recipe.preprocess) for member in members.tolist()])
    after = augmentation.augmented(recipe.augmentation, before, seed)
    _, height, width, _ = before.shape
    rows = -(-COUNT // COLUMNS)
    pair = WIDTH / COLUMNS * height / (2 * width)  # inches that a pair is high
    figure = Figure(figsize=(WIDTH, 0.5 + rows * (pair + 0.05)), layout="constrained")
    names = ", ".join(type(step).__name__.lower() for step in recipe.augmentation)
    figure.suptitle(f"as it is (left of each pair), and after {names} (right)", fontsize=11)
    grid = figure.subplots(rows, COLUMNS).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, left, right in zip(grid, before, after, strict=False):
        gap = np.full((height, max(1, width // 40), left.shape[-1]), 255, np.uint8)
        axes.imshow(np.concatenate([left, gap, right], axis=1).squeeze(), cmap="gray", vmin=0, vmax=255)
    figure.savefig(path, dpi=DPI)
