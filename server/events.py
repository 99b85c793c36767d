"""What happened, told to whoever wants to count, log or trace it.

The core emits these and knows no subscriber; metrics and health subscribe. Subscribers are called in the emitting thread
and must be quick, thread-safe and must not raise.

Events, like the other values that every request makes several of, are msgspec structures: a frozen dataclass of six fields takes
ten times as long to make.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Literal, TypeVar

from msgspec import Struct

Outcome = Literal["ok", "invalid", "shed", "expired", "cancelled", "failed"]


class ModelState(StrEnum):
    """Where a version of a model is in its life."""

    LOADING = "loading"
    SERVING = "serving"
    FAILING = "failing"
    REFUSED = "refused"
    UNLOADED = "unloaded"


# What Timings has seconds of.
STAGES = ("decode", "queue", "infer", "render", "total")


class Timings(Struct, frozen=True):
    """Where the time of one image went, or of those that travelled with it, in seconds, and how many images shared its batch."""

    decode_seconds: float
    queue_seconds: float
    infer_seconds: float
    render_seconds: float
    total_seconds: float
    batch_images: int

    def by_stage(self) -> tuple[float, ...]:
        """The seconds in the order of STAGES."""
        return self.decode_seconds, self.queue_seconds, self.infer_seconds, self.render_seconds, self.total_seconds


class RequestDone(Struct, frozen=True):
    """A call was answered, with the protocol's own code."""

    model: str
    version: str
    rpc: str
    code: str


class ImagesAnswered(Struct, frozen=True):
    """Images that travelled together got their answers: of each the most probable class and its probability."""

    model: str
    version: str
    timings: Timings
    labels: Sequence[str]
    confidences: Sequence[float]


class TensorsAnswered(Struct, frozen=True):
    """A request to a model that takes no images got its answer."""

    model: str
    version: str
    timings: Timings
    rows: int


class ImagesFailed(Struct, frozen=True):
    """Images, or rows of tensors, that got no answer, and why."""

    model: str
    version: str
    outcome: Outcome
    images: int


class BatchDone(Struct, frozen=True):
    """The engine ran once, for this many seconds."""

    model: str
    version: str
    images: int
    seconds: float


class EngineFault(Struct, frozen=True):
    """An engine failed: `fault` is how, "raised", "hung", "memory", or "rebuild" when it could not be built anew."""

    model: str
    version: str
    fault: str


class ModelChanged(Struct, frozen=True):
    """A version of a model entered a state; `engine`, `precision` and `device` are set when it is in service.

    A version in service has a `reason` when a newer bundle of its number was refused.
    """

    model: str
    version: str
    state: ModelState
    reason: str = ""
    engine: str = ""
    precision: str = ""
    device: str = ""


class ModelForgotten(Struct, frozen=True):
    """A version went so long ago that nothing is told of it any more."""

    model: str
    version: str


class BundleTried(Struct, frozen=True):
    """A bundle was brought into service, or was refused."""

    model: str
    version: str
    outcome: Literal["serving", "refused"]


class RolesChanged(Struct, frozen=True):
    """What a model's versions are called from now on; with a `refusal`, that the file that says so is no good and nothing changed."""

    model: str
    labels: dict[str, int]
    has_shadow: bool
    refusal: str = ""


class ShadowRan(Struct, frozen=True):
    """Images that version `of` has answered, and what became of them in its shadow.

    `differences` has of each that was compared the largest difference of a probability, 0..1.
    """

    model: str
    version: str
    of: str
    outcome: Literal["compared", "dropped", "failed"]
    images: int
    disagreements: int = 0
    differences: Sequence[float] = ()


class CertificateRead(Struct, frozen=True):
    """The server's certificate was read from this file; it expires at this Unix time, in seconds."""

    file: str
    expires: float


class ImagesRecorded(Struct, frozen=True):
    """Pictures that were chosen to be kept, and what became of them."""

    outcome: Literal["ok", "dropped", "failed"]
    images: int


E = TypeVar("E", bound=Struct)


class Events:
    """Passes each event on to those who subscribed to its kind."""

    def __init__(self) -> None:
        self._subscribers: defaultdict[type[Struct], list[Callable[[Any], None]]] = defaultdict(list)

    def subscribe(self, kind: type[E], subscriber: Callable[[E], None]) -> None:
        """Adds a subscriber; done while the server is put together, before anything happens."""
        self._subscribers[kind].append(subscriber)

    def emit(self, event: Struct) -> None:
        """Tells everyone who wants to know."""
        for subscriber in self._subscribers[type(event)]:
            subscriber(event)
