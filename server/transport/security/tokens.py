"""A file of bearer tokens: one on a line, `NAME TOKEN` or `TOKEN`, `#` begins a comment.

Names are for the audit log; a token without one goes by its line. Several tokens are valid at once, so that a new one can be handed out
before the old one is taken away. Only digests are kept in memory, and no message shows a token or what could be one.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.transport.security.watched import FileError, read_secret

LEAST_CHARACTERS = 16
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1: b64token
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,40}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token by its SHA-256."""

    name: str
    digest: bytes


def read(option: str, path: Path) -> tuple[Token, ...]:
    """The tokens of a file, in its order. Raises FileError with the line that is wrong."""
    text = read_secret(option, path)
    try:
        lines = [line.partition("#")[0].split() for line in text.decode().splitlines()]
        tokens = [_token(fields, number) for number, fields in enumerate(lines, 1) if fields]
    except UnicodeDecodeError:
        raise FileError(option, path, "is not a text file") from None
    except ValueError as error:
        raise FileError(option, path, str(error)) from None
    if not tokens:
        raise FileError(option, path, "has no token; write one on a line, made by `openssl rand -hex 32`")
    return tuple(tokens)


def digest(token: bytes) -> bytes:
    """What a token is kept and compared by."""
    return hashlib.sha256(token).digest()


def find(tokens: Sequence[Token], presented: bytes) -> Token | None:
    """The token with this digest. Takes as long for a token that is nearly right as for any other, and for the first as for the last."""
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, presented):
            found = token
    return found


def _token(fields: list[str], number: int) -> Token:
    """Raises ValueError, which must not quote anything of the line: the token may be in any place."""
    *names, token = fields
    if len(names) > 1:
        raise ValueError(f"line {number} has {len(fields)} words; write NAME TOKEN, or the token alone")
    if names and _NAME.fullmatch(names[0]) is None:
        raise ValueError(f"line {number}: a name has up to 40 letters, digits and . _ @ -, and stands before the token")
    if _TOKEN.fullmatch(token) is None:
        raise ValueError(
            f"line {number}: a token has only letters, digits and - . _ ~ + /, and = at its end (RFC 6750)"
        )
    if len(token) < LEAST_CHARACTERS:
        least = f"a token has at least {LEAST_CHARACTERS} characters"
        raise ValueError(f"line {number}: {least}; make one with `openssl rand -hex 32`")
    return Token(names[0] if names else f"line {number}", digest(token.encode()))
