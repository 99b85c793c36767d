"""How much may be in the house at once.

A permit is taken before anything is decoded and given back when the answer is ready, so memory is bounded by what was
admitted. There is no second queue behind it: who finds the house full is told so at once and may come again.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import InvalidRequestError, OverloadedError


class Admission:
    """Counts images and bytes of the requests in work. It belongs to the event loop's thread."""

    def __init__(self, max_images: int, max_bytes: int) -> None:
        self.max_images = max_images  # in one request, and in all that are in work
        self._max_bytes = max_bytes
        self._images = 0
        self._bytes = 0

    @property
    def images(self) -> int:
        """Images in work now."""
        return self._images

    @contextmanager
    def admit(self, images: int, size_bytes: int, retry_after_seconds: float) -> Iterator[None]:
        """Holds a permit for the block. Raises OverloadedError when there is no room now, InvalidRequestError when the
        request is larger than the whole house."""
        if images > self.max_images or size_bytes > self._max_bytes:
            raise InvalidRequestError(
                f"images: {images} images of {size_bytes:,} bytes together; the server takes at most {self.max_images} "
                f"images and {self._max_bytes:,} bytes in one request; split it"
            )
        if self._images + images > self.max_images or self._bytes + size_bytes > self._max_bytes:
            raise OverloadedError(
                f"the server is full: {self._images} of {self.max_images} images and {self._bytes:,} of "
                f"{self._max_bytes:,} bytes in work; try again in {retry_after_seconds:.3f} s",
                retry_after_seconds,
            )
        self._images += images
        self._bytes += size_bytes
        try:
            yield
        finally:
            self._images -= images
            self._bytes -= size_bytes
