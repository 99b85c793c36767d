"""versions.toml: what a model's versions are called, and which one runs in another's shadow.

    [labels]
    stable = 3              # answers when a request names no version
    canary = 4

    [shadow]
    version = "canary"      # a number or a label: this one is tried on a part of the traffic
    of = "stable"           # of this one; left out: of the one that answers by default
    share = 0.1             # of its requests, above 0 and at most 1

It lies in the model's folder, beside those of its versions, and is optional. A file that is not exactly like this is refused as a whole
and what held before goes on.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

FILE = "versions.toml"
# The label of the version that answers when a request names none.
STABLE = "stable"
# A label is not a number, and needs no quoting in a path.
LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", re.ASCII)

_LARGEST = 2**63 - 1
_LONGEST_BYTES = 1 << 20


class RolesError(Exception):
    """The file is not what it must be; the message says where and why."""


class Shadow(Struct, frozen=True, forbid_unknown_fields=True):
    """Which version is tried, on which part of whose requests. Versions are numbers or labels."""

    version: int | str
    share: Annotated[float, Meta(gt=0, le=1)]
    of: int | str | None = None  # None: of the one that answers by default


class Roles(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of the file; without one, nothing is called anything."""

    labels: dict[str, int] = {}
    shadow: Shadow | None = None

    def versions(self) -> set[int]:
        """Every version that has a role."""
        named = () if self.shadow is None else (self.shadow.version, self.shadow.of)
        return {*self.labels.values(), *(version for version in named if isinstance(version, int))}


def read(home: Path) -> Roles:
    """The roles in a model's folder. Raises RolesError, naming the file."""
    path = home / FILE
    try:
        with path.open("rb") as file:
            return _parsed(file.read(_LONGEST_BYTES).decode())
    except FileNotFoundError:
        return Roles()
    except OSError as error:
        raise RolesError(f"{path}: cannot be read: {error.strerror}") from error
    except (RolesError, ValueError) as error:  # those of TOML, UTF-8 and msgspec are ValueErrors
        raise RolesError(f"{path}: {error}") from error


def _parsed(text: str) -> Roles:
    document = tomllib.loads(text)
    labels = document.get("labels", {})
    if isinstance(labels, dict):  # said in words here; of anything else msgspec says what is wrong
        _check_labels(labels)
    roles = msgspec.convert(document, Roles)
    if roles.shadow is not None:
        _check_shadow(roles.shadow, roles.labels)
    return roles


def _check_labels(labels: dict[str, Any]) -> None:
    for label, version in labels.items():
        if not LABEL.fullmatch(label):
            raise RolesError(
                f"label {label!r}: a label begins with a letter and goes on with letters, digits, `_`, `.`, `-`, "
                "63 characters at most"
            )
        if type(version) is not int or not 0 < version <= _LARGEST:
            raise RolesError(f"label {label}: {version!r} is no version; write {label} = 3 for version 3")


def _check_shadow(shadow: Shadow, labels: dict[str, int]) -> None:
    numbers = [_number(name, labels) for name in (shadow.version, shadow.of) if name is not None]
    if len(numbers) > 1 and numbers[0] == numbers[1]:
        raise RolesError(f"shadow: `version` and `of` are both version {numbers[0]}; they must differ")


def _number(version: int | str, labels: dict[str, int]) -> int:
    if isinstance(version, str) and version not in labels:
        known = ", ".join(sorted(labels)) or "none"
        raise RolesError(f"shadow: no label {version!r}; there are: {known}")
    return labels[version] if isinstance(version, str) else version
