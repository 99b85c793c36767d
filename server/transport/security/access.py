"""What a call needs, and whether its token has it.

Two files of tokens, each of which can be left out: with `--token-file`, every call but health and metrics needs a token; with
`--admin-token-file`, loading and unloading need one of that file, which is good for every other call, too. When there are tokens and
none of them is for administration, nobody may load or unload.
"""

from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from server.config import Security
from server.errors import PermissionDeniedError, UnauthenticatedError
from server.transport.security import tokens
from server.transport.security.tokens import Token
from server.transport.security.watched import Watched

_SCHEME = b"bearer "  # RFC 9110: schemes are written in any case


class Need(Enum):
    """What a caller must have."""

    NOTHING = "nothing"
    TOKEN = "token"  # noqa: S105  no token, a word
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a caller is, as far as it is known: name of the token, name in the client certificate, address."""

    token: str = ""
    certificate: str = ""
    peer: str = ""


class Access:
    """Tells who may do what."""

    def __init__(self, security: Security) -> None:
        """Raises FileError."""
        self._ordinary = _watched("--token-file", security.token_file)
        self._admin = _watched("--admin-token-file", security.admin_token_file)
        # Whether any call needs one.
        self.needs_tokens = self._ordinary is not None or self._admin is not None

    def asks(self, need: Need) -> bool:
        """Whether a call that needs this has to show a token."""
        if need is Need.TOKEN:
            return self._ordinary is not None
        return need is Need.ADMIN and self.needs_tokens

    def admit(self, need: Need, authorization: bytes | None) -> None:
        """Looks at the header or metadata `authorization`.

        Raises UnauthenticatedError without a token that is known, PermissionDeniedError for one that may not do this.
        """
        if not self.asks(need):
            return
        presented = _digest(authorization)
        if _find(self._admin, presented) is not None:
            return
        if _find(self._ordinary, presented) is None:
            raise UnauthenticatedError("the token is not known here, or no more")
        if need is Need.ADMIN:
            raise PermissionDeniedError(
                "this token may not load or unload models; that takes one of the server's --admin-token-file"
            )

    def name_of(self, authorization: bytes | None) -> str:
        """What the token in `authorization` is called, for the audit log; empty when it is none that is known."""
        try:
            presented = _digest(authorization)
        except UnauthenticatedError:
            return ""
        token = _find(self._admin, presented) or _find(self._ordinary, presented)
        return "" if token is None else token.name


def _watched(option: str, path: Path | None) -> Watched[tuple[Token, ...]] | None:
    return None if path is None else Watched([path], partial(tokens.read, option, path))


def _find(known: Watched[tuple[Token, ...]] | None, presented: bytes) -> Token | None:
    return None if known is None else tokens.find(known.current(), presented)


def _digest(authorization: bytes | None) -> bytes:
    """Of the token that was sent. Raises UnauthenticatedError when there is none."""
    if not authorization:
        raise UnauthenticatedError("this call needs a token; send it as `authorization: Bearer TOKEN`")
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthenticatedError("authorization: tokens are sent as `Bearer TOKEN`; there is no other scheme here")
    return tokens.digest(authorization[len(_SCHEME) :].strip())
