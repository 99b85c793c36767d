"""The shelf as rows of words: each shipped recipe with its size, the course notes' figure and ours."""

from dataclasses import astuple, dataclass

from training import measured
from training import recipe as recipes
from training.measured import Measured
from training.tasks import Recipe

COLUMNS = ("recipe", "data", "input", "output", "parameters", "notes", "ours")
NOT_TRAINED, CHANGED = "not trained here", " (recipe changed since)"


@dataclass(frozen=True)
class Row:
    """What is said of a recipe, in the order of COLUMNS."""

    recipe: str
    data: str
    input: str
    output: str
    parameters: str
    notes: str
    ours: str


def rows() -> list[Row]:
    """All shipped recipes by name. Builds every network, to count its parameters."""
    figures = measured.read()
    return [_row(name, recipes.load(name, []), figures.get(name)) for name in recipes.shipped()]


def markdown() -> str:
    """The shelf as a table in Markdown, as docs/training.md has it."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(astuple(row) for row in rows())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(name: str, recipe: Recipe, figures: Measured | None) -> Row:
    return Row(
        recipe=name,
        data=recipe.data_name,
        input=recipe.input,
        output=recipe.output,
        parameters=f"{recipe.build().count_params():,}",
        notes=", ".join(_figure(each.split, each.metric, each.value) for each in recipe.notes),
        ours=_ours(recipe, figures),
    )


def _ours(recipe: Recipe, figures: Measured | None) -> str:
    """The splits and metrics that the notes have, so that the two can be compared; then the test split's own."""
    if figures is None:
        return NOT_TRAINED
    wanted = [(each.split, each.metric) for each in recipe.notes]
    wanted += [
        ("test", metric) for metric in figures.metrics["test"] if metric != "loss" and ("test", metric) not in wanted
    ]
    text = ", ".join(_figure(split, metric, figures.metrics[split][metric]) for split, metric in wanted)
    return text if measured.current(figures.settings, recipes.settings(recipe)) else text + CHANGED


def _figure(split: str, metric: str, value: float) -> str:
    return f"{split} {metric} {value:.4g}".replace("_", " ")
