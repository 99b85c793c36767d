"""How much may be in the house at once.

A permit is taken before anything is decoded and given back when the answer is ready, so memory is bounded by what was
admitted. There is no second queue behind it: who finds the house full is told so at once and may come again.
"""

from server.errors import InvalidRequestError, OverloadedError

# A caller who is refused is asked to wait at least this long, so that refusals cannot make a busy loop.
_LEAST_RETRY_SECONDS = 0.01


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

    def admit(self, images: int, size_bytes: int, seconds_per_image: float) -> "Permit":
        """A permit, to be held as a context manager while the request is in work.

        Raises OverloadedError when there is no room now, InvalidRequestError when the request is larger than the whole house.
        """
        if images > self.max_images or size_bytes > self._max_bytes:
            raise InvalidRequestError(
                f"images: {images} images of {size_bytes:,} bytes together; the server takes at most {self.max_images} "
                f"images and {self._max_bytes:,} bytes in one request; split it"
            )
        if self._images + images > self.max_images or self._bytes + size_bytes > self._max_bytes:
            wait = max(_LEAST_RETRY_SECONDS, self._images * seconds_per_image)
            raise OverloadedError(
                f"the server is full: {self._images} of {self.max_images} images and {self._bytes:,} of "
                f"{self._max_bytes:,} bytes in work; try again in {wait:.3f} s",
                wait,
            )
        return Permit(self, images, size_bytes)

    def add(self, images: int, size_bytes: int) -> None:
        """Counts what a permit brings, or with negative numbers takes away."""
        self._images += images
        self._bytes += size_bytes


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
