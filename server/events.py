"""What happened, told to whoever wants to count, log or trace it.

The core emits these and knows no subscriber; metrics and health subscribe. Subscribers are called in the emitting thread
and must be quick, thread-safe and must not raise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Outcome = Literal["ok", "invalid", "shed", "expired", "cancelled", "failed"]


class ModelState(StrEnum):
    """Where a version of a model is in its life."""

    LOADING = "loading"
    SERVING = "serving"
    REFUSED = "refused"
    UNLOADED = "unloaded"


# What Timings has seconds of, each in the field `<stage>_seconds`.
STAGES = ("decode", "queue", "infer", "render", "total")


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one image went, in seconds, and how many images shared its batch."""

    decode_seconds: float
    queue_seconds: float
    infer_seconds: float
    render_seconds: float
    total_seconds: float
    batch_images: int


@dataclass(frozen=True, slots=True)
class RequestDone:
    """A call was answered, with the protocol's own code."""

    model: str
    version: str
    rpc: str
    code: str


@dataclass(frozen=True, slots=True)
class ImageAnswered:
    """One image got its answer; `label` and `confidence` are the most probable class and its probability."""

    model: str
    version: str
    timings: Timings
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class TensorsAnswered:
    """A request to a model that takes no images got its answer."""

    model: str
    version: str
    timings: Timings
    rows: int


@dataclass(frozen=True, slots=True)
class ImagesFailed:
    """Images, or rows of tensors, that got no answer, and why."""

    model: str
    version: str
    outcome: Outcome
    images: int


@dataclass(frozen=True, slots=True)
class BatchDone:
    """The engine ran once, for this many seconds."""

    model: str
    version: str
    images: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """A version of a model entered a state; `engine`, `precision` and `device` are set when it is in service."""

    model: str
    version: str
    state: ModelState
    reason: str = ""
    engine: str = ""
    precision: str = ""
    device: str = ""


Event = RequestDone | ImageAnswered | TensorsAnswered | ImagesFailed | BatchDone | ModelChanged


class Events:
    """Passes each event on to every subscriber."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Adds a subscriber; done while the server is put together, before anything happens."""
        self._subscribers.append(subscriber)

    def emit(self, event: Event) -> None:
        """Tells every subscriber."""
        for subscriber in self._subscribers:
            subscriber(event)
