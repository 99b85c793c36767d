"""What can go wrong before or while a recipe is trained; every message is for the person at the terminal."""


class RecipeError(Exception):
    """A recipe, or a change to it on the command line, is not valid; the message names the key."""


class DataError(Exception):
    """The data of a recipe cannot be had on this machine; the message says how to get it."""
