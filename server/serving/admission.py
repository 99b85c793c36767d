"""How much may be in the house at once, and for whom the last places are kept.

A permit is taken before anything is decoded and given back when the answer is ready, and what waits to be sent is counted too: memory is
bounded by what was admitted. There is no second queue behind it: who finds the house full is told so at once and may come again. So is who would
certainly be answered too late: computing that answer would only make others late as well.
"""

from msgspec import Struct

from server.batching.policy import Priority
from server.errors import DeadlineError, InvalidRequestError, OverloadedError

# A caller who is refused is asked to wait at least this long, so that refusals cannot make a busy loop.
_LEAST_RETRY_SECONDS = 0.01

# Which part of the house a request may find taken and still come in. The rest is kept for those above it.
_SHARES = {Priority.HIGH: 1.0, Priority.NORMAL: 0.9, Priority.LOW: 0.5}
# Of that, what explanations may take, when they are the first to be refused.
_EXPLAINED_SHARE = 0.75
# The wait is an estimate, and the answer itself takes time, too: who would come in by a hair is refused.
_MARGIN = 1.25


class Demand(Struct, frozen=True):
    """What a request wants, and what is known of its chances."""

    images: int
    size_bytes: int
    priority: Priority
    explained: bool
    wait_seconds: float  # of work that is before it
    left_seconds: float | None  # until its deadline


class Admission:
    """Counts images and bytes of the requests in work. It belongs to the event loop's thread."""

    def __init__(self, max_images: int, max_bytes: int, *, shed_explanations_first: bool = True) -> None:
        self.max_images = max_images  # in one request, and in all that are in work
        self._max_bytes = max_bytes
        self._images = 0
        self._bytes = 0
        # At least one place stays for everybody: a house of one image is for all.
        self._places = {
            (priority, explained): max(1, round(max_images * share * (_EXPLAINED_SHARE if explained else 1.0)))
            for priority, share in _SHARES.items()
            for explained in (False, True)
        }
        if not shed_explanations_first:
            for priority in Priority:
                self._places[priority, True] = self._places[priority, False]

    @property
    def images(self) -> int:
        """Images in work now."""
        return self._images

    def admit(self, demand: Demand) -> "Permit":
        """A permit, to be held as a context manager while the request is in work.

        Raises OverloadedError when there is no room for such a request now or it would be too late, DeadlineError when it is too late
        already, InvalidRequestError when the request is larger than the whole house.
        """
        images, size_bytes = demand.images, demand.size_bytes
        if images > self.max_images or size_bytes > self._max_bytes:
            raise InvalidRequestError(
                f"images: {images} images of {size_bytes:,} bytes together, with the heatmaps that they ask for; the server takes "
                f"at most {self.max_images} images and {self._max_bytes:,} bytes in one request; split it"
            )
        if demand.left_seconds is not None:
            _in_time(demand.wait_seconds, demand.left_seconds)
        # A request that is larger than its share finds room in an empty house.
        places = self._places[demand.priority, demand.explained]
        if (self._images and self._images + images > places) or self._bytes + size_bytes > self._max_bytes:
            raise self._full(places, demand)
        return Permit(self, images, size_bytes)

    def turn_away(self, wait_seconds: float, left_seconds: float | None) -> None:
        """Refuses a request of which nothing is known but its deadline, when the least of ordinary priority would be refused.

        Raises OverloadedError and DeadlineError as `admit` does.
        """
        self.admit(Demand(1, 0, Priority.NORMAL, explained=False, wait_seconds=wait_seconds, left_seconds=left_seconds))

    def add(self, images: int, size_bytes: int) -> None:
        """Counts what a permit brings, or an answer that waits to be sent; with negative numbers, what is gone."""
        self._images += images
        self._bytes += size_bytes

    def _full(self, places: int, demand: Demand) -> OverloadedError:
        wait = max(_LEAST_RETRY_SECONDS, demand.wait_seconds)
        which = "explained requests" if demand.explained else "requests"
        return OverloadedError(
            f"the server is full: {self._images} images in work, of {places} for {which} of {demand.priority} priority, and "
            f"{self._bytes:,} of {self._max_bytes:,} bytes; try again in {wait:.3f} s",
            wait,
        )


def _in_time(wait: float, left: float) -> None:
    if left <= 0:
        raise DeadlineError("the deadline had passed when the request came")
    if wait * _MARGIN > left:
        raise OverloadedError(
            f"the deadline is in {left:.3f} s and work of about {wait:.3f} s comes first; try again later or ask another server",
            max(_LEAST_RETRY_SECONDS, wait - left),
        )


class Permit:
    """Room for one request, for as long as the block lasts."""

    __slots__ = ("_admission", "_images", "_size_bytes")

    def __init__(self, admission: Admission, images: int, size_bytes: int) -> None:
        self._admission = admission
        self._images = images
        self._size_bytes = size_bytes

    def __enter__(self) -> None:
        self._admission.add(self._images, self._size_bytes)

    def __exit__(self, *_: object) -> None:
        self._admission.add(-self._images, -self._size_bytes)
