"""Where the time of a call went, for its caller: the Server-Timing header of the W3C, on HTTP as on gRPC.

Specification: https://www.w3.org/TR/server-timing/
"""

from collections.abc import Mapping, Sequence

from server.events import STAGES, Timings


def of_call(images: Sequence[Timings]) -> Mapping[str, float]:
    """Seconds by stage of a call of one or more images: the longest that any of them took in each stage."""
    first, *others = map(_by_stage, images)
    for other in others:
        first = tuple(map(max, first, other))
    return dict(zip(STAGES, first, strict=True))


def header(seconds: Mapping[str, float]) -> str:
    """The value of `server-timing`, durations in milliseconds: "decode;dur=1.204, queue;dur=0.310"."""
    return ", ".join([f"{stage};dur={value * 1000:.3f}" for stage, value in seconds.items()])


def _by_stage(image: Timings) -> tuple[float, ...]:
    return (
        image.decode_seconds,
        image.queue_seconds,
        image.infer_seconds,
        image.render_seconds,
        image.total_seconds,
    )
