"""Memory for requests, shared by all connections: taken as their bodies arrive, given back with the answer.

A body is in memory before anyone knows what it asks for, so admission comes too late to bound it. What a client only announces costs
nothing: a few who announce much and send little could otherwise take all there is.
"""

from server.errors import OverloadedError

# Small requests may use all of it, larger ones leave them some: a few of those that arrive slowly turn away no others.
_SMALL_BYTES = 1 << 20
_FOR_ALL = 3 / 4
_RETRY_SECONDS = 1.0


class Budget:
    """Counts the bytes of bodies. It belongs to the event loop's thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0

    def share(self) -> "Share":
        """The part of one request, as a context manager."""
        return Share(self)

    def take(self, size: int, together: int) -> None:
        """`size` more bytes for a request that has `together` then. Raises OverloadedError when there is no room."""
        most = self._most if together <= _SMALL_BYTES else self._most * _FOR_ALL
        if self._used + size > most:
            raise OverloadedError(
                f"the server is reading {self._used:,} bytes of requests and has no room for this one; try again in {_RETRY_SECONDS:g} s",
                _RETRY_SECONDS,
            )
        self._used += size

    def give_back(self, size: int) -> None:
        """What `take` took."""
        self._used -= size


class Share:
    """What one request has of the budget, for as long as the block lasts."""

    __slots__ = ("_budget", "_size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._size)

    def grow(self, size: int) -> None:
        """`size` more bytes. Raises OverloadedError when there is no room."""
        self._budget.take(size, self._size + size)
        self._size += size
