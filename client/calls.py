"""What both clients do around a call: how they connect, what they send along, and when they try again."""

import json
import random
import re
import time
from collections.abc import Callable

import grpc

from client.errors import ClassifyError
from client.results import Priority
from client.security import Token, authorization

DEFAULT_TARGET = "127.0.0.1:8001"
# gRPC's own limit of 4 MiB is less than a handful of overlays of photographs.
MAX_RESPONSE_BYTES = 256 << 20
# gRPC servers end a connection on which pings come more often than every 300 s (grpc/doc/keepalive.md); many load balancers
# forget one that was silent for 350 s.
KEEPALIVE_SECONDS = 330
# Waits before a connection is tried again: gRPC's own, 1 to 120 s, would outlast a restart of the server.
FIRST_RECONNECT_SECONDS, LAST_RECONNECT_SECONDS = 0.1, 5.0
FIRST_WAIT_SECONDS = 0.1  # the most before the first retry of a call; it doubles with each one
_DOUBLINGS = 6  # so that no wait is longer than 6.4 s
_WORTH_ANOTHER_TRY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})
# With these, grpc.health.v1 says no; every other failure of a health check leaves the question open.
NOT_READY = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_METADATA_VALUE = re.compile(r"[ -~]*")  # what gRPC can carry as text: printable ASCII

Metadata = tuple[tuple[str, str], ...]
ChannelOptions = tuple[tuple[str, str | int], ...]

_COMMON_OPTIONS: ChannelOptions = (
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
    ("grpc.initial_reconnect_backoff_ms", round(FIRST_RECONNECT_SECONDS * 1000)),
    ("grpc.max_reconnect_backoff_ms", round(LAST_RECONNECT_SECONDS * 1000)),
)


def balanced() -> ChannelOptions:
    """Options of a channel that spreads calls over the servers that are in service.

    Every address behind the target gets its share (round_robin), unless its grpc.health.v1 says NOT_SERVING: gRPC watches
    that on each connection by itself (gRFC A17), and takes a server without such a service as healthy.
    """
    config = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}
    return (*_COMMON_OPTIONS, ("grpc.service_config", json.dumps(config)))


def direct() -> ChannelOptions:
    """Options of a channel to the first server that can be reached, in service or not (pick_first, without health checks)."""
    return _COMMON_OPTIONS


def metadata(token: Token, request_id: str = "", priority: Priority = Priority.NORMAL) -> Metadata:
    """What travels beside a request: who asks, for proxies and their logs the id, and for a full server that it is urgent.

    Raises ValueError for what gRPC cannot carry.
    """
    if not _METADATA_VALUE.fullmatch(request_id):
        raise ValueError(f"a request id is printable ASCII, not {request_id!r}")
    along = [*authorization(token)]
    if request_id:
        along.append(("x-request-id", request_id))
    if priority is Priority.HIGH:
        along.append(("priority", priority.value))
    return tuple(along)


def seconds_before_retry(
    error: ClassifyError, retry: int, retries: int, seconds_left: float, jitter: float
) -> float | None:
    """How long to wait before a failed call is tried again, None when it shall not be.

    error         how the last try ended: UNAVAILABLE, and RESOURCE_EXHAUSTED if the server says when to come back (a message
                  that is too large has that code too), are worth another try, everything else is not
    retry         how many retries there have been, at most `retries`
    seconds_left  until the deadline of the call; a wait up to it would be in vain
    jitter        a random number in 0..1: full jitter, so that clients that failed together do not come back together

    The server's google.rpc.RetryInfo is obeyed as it is; without it the wait is random and doubles with each retry. That is
    why the retries are not left to gRPC's service config: its policy goes by the code alone and takes a server's delay only
    from the metadata key `grpc-retry-pushback-ms` (gRFC A6).
    """
    if retry >= retries:
        return None
    wait = error.retry_after
    if wait is None and error.code is grpc.StatusCode.UNAVAILABLE:
        wait = jitter * FIRST_WAIT_SECONDS * 2 ** min(retry, _DOUBLINGS)
    if error.code not in _WORTH_ANOTHER_TRY or wait is None or wait >= seconds_left:
        return None
    return wait


class Tries:
    """What is left to one call: the time until its deadline, and its retries."""

    def __init__(
        self,
        timeout: float,
        retries: int,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`timeout` in seconds, from now on; `jitter` gives random numbers in 0..1."""
        self._clock = clock
        self._jitter = jitter
        self._deadline = clock() + timeout
        self._retries = retries
        self._retry = 0

    def seconds_left(self) -> float:
        """Until the call's deadline."""
        return self._deadline - self._clock()

    def wait_after(self, error: ClassifyError) -> float | None:
        """Seconds to wait before the next try, None if `error` is the end of the call."""
        wait = seconds_before_retry(error, self._retry, self._retries, self.seconds_left(), self._jitter())
        self._retry += 1
        return wait
