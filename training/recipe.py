"""Recipes: TOML files that say all that decides a training run. There are no defaults; every key must be there.

A wrong key would otherwise be ignored without a sign of it, so unknown, missing and mistyped ones are errors that name
the key and, where one is close, the key that was probably meant.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from bundle import strict
from training.errors import RecipeError, hint
from training.tasks import Recipe
from training.tasks.classification import Classification

_FOLDER = resources.files("training") / "recipes"


def shipped() -> list[str]:
    """Names of the recipes that come with the program, sorted."""
    return sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml"))


def load(name: str, changes: list[str]) -> Recipe:
    """The recipe `name` (a shipped one, or the path of a TOML file) with `changes` ("dotted.key=value") applied.

    Values are TOML; what is not valid TOML is taken as a string. Raises RecipeError.
    """
    table = _read(name)
    for change in changes:
        _apply(table, change)
    try:
        _check_names(table, msgspec.inspect.type_info(Recipe), "")
        recipe: Recipe = msgspec.convert(table, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"recipe {name}: {str(error).replace('`$.', '`')}") from error
    return recipe


def of_pictures(name: str, changes: list[str]) -> Classification:
    """The recipe `name`, for what is about pictures and their classes; raises RecipeError when it has another task."""
    recipe = load(name, changes)
    if not isinstance(recipe, Classification):
        raise RecipeError(f"recipe {name}: this is for recipes that classify pictures")
    return recipe


def settings(recipe: strict.Document) -> dict[str, Any]:
    """The recipe as plain JSON data, for run.json."""
    return msgspec.json.decode(msgspec.json.encode(recipe), type=dict[str, Any])


def _read(name: str) -> dict[str, Any]:
    if name in shipped():
        return tomllib.loads((_FOLDER / f"{name}.toml").read_text())
    path = Path(name)
    if path.suffix != ".toml":
        raise RecipeError(f"no recipe is called {name!r}{hint(name, shipped())} (or give the path of a .toml file)")
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise RecipeError(f"recipe {name}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {name}: not valid TOML: {error}") from error


def _apply(table: dict[str, Any], change: str) -> None:
    """Sets one key in place. New keys are set too: `_check_names` is what knows which exist."""
    dotted, equals, text = change.partition("=")
    *parents, last = dotted.strip().split(".")
    if not equals or not last:
        raise RecipeError(f"--set {change}: write it as key=value, for example training.batch_size=64")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {change}: {parent} is a value and has no keys in it")
    table[last] = _value(text.strip())


def _value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _check_names(value: Any, kind: msgspec.inspect.Type, path: str) -> None:
    """Raises RecipeError for the first key or chosen name under `value` that does not exist; msgspec checks the rest."""
    if isinstance(kind, msgspec.inspect.ListType) and isinstance(value, list):
        for index, item in enumerate(value):
            _check_names(item, kind.item_type, f"{path}[{index}]")
    elif isinstance(kind, msgspec.inspect.LiteralType):
        _check_known(value, list(kind.values), f"{path} cannot be")
    elif isinstance(kind, msgspec.inspect.StructType | msgspec.inspect.UnionType) and isinstance(value, dict):
        structure = _structure(value, kind, path)
        fields = {field.encode_name: field.type for field in structure.fields}
        for key, item in value.items():
            if key != structure.tag_field:
                inner = f"{path}.{key}".lstrip(".")
                _check_known(key, list(fields), f"{inner}: there is no key")
                _check_names(item, fields[key], inner)


def _structure(value: dict[str, Any], kind: msgspec.inspect.Type, path: str) -> msgspec.inspect.StructType:
    """The structure that `value` should have: of several the one whose name it gives."""
    types = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    members = {member.tag: member for member in types if isinstance(member, msgspec.inspect.StructType)}
    first = next(iter(members.values()))
    if first.tag_field is None:
        return first
    name = value.get(first.tag_field)
    _check_known(name, list(members), f"{path}.{first.tag_field} cannot be".lstrip("."))
    return members[name]


def _check_known(word: Any, known: list[Any], complaint: str) -> None:
    if word not in known:
        raise RecipeError(f"{complaint} {word!r}{hint(str(word), known)}")
