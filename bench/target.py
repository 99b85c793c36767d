"""Which server a measurement talks to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.server_process import serving

# Options of our own servers: results and progress bars are what the terminal is for.
QUIET = ("--log-level", "warning")


@contextmanager
def target_or_own(target: str | None, models: Path) -> Iterator[str]:
    """The gRPC address to measure: `target` if there is one, else that of a server started on `models` for the block.

    Raises RuntimeError when that one does not start.
    """
    if target is not None:
        yield target
        return
    with serving(models, *QUIET) as server:
        yield server.grpc
