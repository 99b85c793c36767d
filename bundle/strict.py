"""Reading and writing JSON documents with no defaults: a missing, unknown or mistyped key is an error that names it.

A model served with a guessed setting answers wrongly without a sign of it, so nothing is guessed.
"""

from pathlib import Path
from typing import TypeVar

import msgspec

from bundle.errors import BundleError


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every structure that is stored as JSON; subclasses declare fields without defaults."""


T = TypeVar("T", bound=msgspec.Struct)

# A manifest of twenty thousand labels has one.
MAX_BYTES = 16 << 20


def read(path: Path, kind: type[T]) -> T:
    """Reads `path` as a `kind`. Raises BundleError, naming the file and the key, when it is not exactly that."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BundleError(f"{path}: has {path.stat().st_size:,} bytes, the limit is {MAX_BYTES:,}")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise BundleError(f"{path}: {error}") from error
    except RecursionError as error:
        raise BundleError(f"{path}: the JSON is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: not valid JSON: {error}") from error


def write(path: Path, document: Document) -> None:
    """Writes `document` as indented UTF-8 JSON, the form that `read` accepts."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
