"""What can go wrong before or while a recipe is trained; every message is for the person at the terminal."""

import difflib


class RecipeError(Exception):
    """A recipe, or a change to it on the command line, is not valid; the message names the key."""


class DataError(Exception):
    """The data of a recipe cannot be had on this machine, or cannot be trained on; the message says what to do."""


class TrainingError(Exception):
    """Training cannot go on; the message says what to change."""


class WorkerLostError(Exception):
    """Another of the workers that train together is gone; the message says how to go on."""


def hint(word: str, known: list[str]) -> str:
    """The end of a message that something is called otherwise: what was probably meant, or else all that there is."""
    near = difflib.get_close_matches(word, known)
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(sorted(known))}"
