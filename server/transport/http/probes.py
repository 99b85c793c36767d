"""What Prometheus and Kubernetes ask for.

/metrics  the Prometheus text format
/livez    200 while the process works
/readyz   200 while it wants traffic, otherwise 503 with the reason
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from server.transport.http.operation import TEXT, Operation, Reply, Request
from server.transport.security.access import Need


class Probes:
    """`metrics` gives page and content type, `not_ready` the reason against traffic or nothing.

    `metrics_need` is what callers must have to see the metrics; the others are for everyone.
    """

    def __init__(
        self,
        metrics: Callable[[], Awaitable[tuple[bytes, str]]],
        not_ready: Callable[[], str],
        metrics_need: Need = Need.NOTHING,
    ) -> None:
        self._page = metrics
        self._reason = not_ready
        self._metrics_need = metrics_need

    def operations(self) -> list[Operation]:
        """All of them."""
        text = {"text/plain": {"type": "string"}}
        return [
            Operation("metrics", "GET", "/metrics", "Prometheus metrics", self._metrics, text, need=self._metrics_need),
            Operation("livez", "GET", "/livez", "Does the process work?", self._livez, text, need=Need.NOTHING),
            Operation(
                *("readyz", "GET", "/readyz", "Does it want traffic?", self._readyz, text),
                not_yet=True,
                need=Need.NOTHING,
            ),
        ]

    async def _metrics(self, _: Request) -> Reply:
        return Reply(*await self._page())

    async def _livez(self, _: Request) -> Reply:
        return Reply(b"ok\n", TEXT)

    async def _readyz(self, _: Request) -> Reply:
        reason = self._reason()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
        return Reply(f"{reason or 'ok'}\n".encode(), TEXT, status)
