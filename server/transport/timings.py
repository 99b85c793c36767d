"""Where the time of a call went, for its caller: the Server-Timing header of the W3C, on HTTP as on gRPC.

Specification: https://www.w3.org/TR/server-timing/
"""

from collections.abc import Sequence

from server.events import STAGES, Timings

Seconds = Sequence[float]  # by stage, in the order of STAGES
_FORMAT = ", ".join(f"{stage};dur={{:.3f}}" for stage in STAGES)


def of_call(images: Sequence[Timings]) -> Seconds:
    """Seconds by stage of a call of one or more images: the longest that any of them took in each stage."""
    if len(images) == 1:
        return images[0].by_stage()
    return tuple(map(max, *(image.by_stage() for image in images)))


def header(seconds: Seconds) -> str:
    """The value of `server-timing`, durations in milliseconds: "decode;dur=1.204, queue;dur=0.310"."""
    return _FORMAT.format(*[1000 * value for value in seconds])
