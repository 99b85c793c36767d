"""Everything that a caller can be told went wrong, as a tree that knows no protocol.

`transport.status` maps each leaf to a gRPC code and an HTTP status. The message of an error is for the caller: what was
wrong, which value, what to do.
"""


class ServerError(Exception):
    """Base of the tree; never raised itself."""


class InvalidRequestError(ServerError):
    """A field of the request is missing, contradictory or out of range."""


class InvalidImageError(InvalidRequestError):
    """One image cannot be turned into the model's input."""


class ModelNotFoundError(ServerError):
    """No model of that name, or no such version of it."""


class UnauthenticatedError(ServerError):
    """The caller did not show a token that is known here."""


class PermissionDeniedError(ServerError):
    """The caller is known, and may not do this."""


class OverloadedError(ServerError):
    """No room for the request now; `retry_after_seconds` says when there probably is."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DeadlineError(ServerError):
    """The caller's deadline passed before the answer was computed."""


class UnavailableError(ServerError):
    """The model is not in service yet, or the server is shutting down."""


class InternalError(ServerError):
    """The engine failed, or something unforeseen happened. Details are in the log, not in the message."""
