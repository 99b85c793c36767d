"""How a request names a version, in every protocol: by its number, by a label, or not at all for the default one."""

import re

from server.errors import InvalidRequestError
from server.serving.jobs import Version
from server.serving.roles import LABEL
from server.transport.v2.tensors import shown

# For JSON Schema, which has no flags: as in ECMA 262, anchored.
PATTERN = f"^([1-9][0-9]{{0,17}}|{LABEL.pattern})$"

_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def from_text(text: str) -> Version:
    """The version that a path or field means. Raises InvalidRequestError when it can be neither number nor label."""
    if not text:
        return None
    return int(text) if _NUMBER.fullmatch(text) else checked_label(text, "version")


def checked_label(label: str, field: str) -> str:
    """The label, which is the content of `field`. Raises InvalidRequestError when no version can be called so."""
    if not LABEL.fullmatch(label):
        raise InvalidRequestError(
            f"{field}: {shown(label)}; a version is a positive number, or a label of up to 63 letters, digits, `_`, `.`, "
            "`-` that begins with a letter; leave it out for the default one"
        )
    return label


def to_count(text: str) -> int | str:
    """The version to count a call under, before it is checked."""
    return int(text) if _NUMBER.fullmatch(text) else text
