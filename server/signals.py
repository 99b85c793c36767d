"""The signals that end a server: the first one asks for an orderly end, the second one stops at once."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterable
from typing import Any

log = logging.getLogger(__name__)


def first_signal() -> asyncio.Future[signal.Signals]:
    """Resolves with the first SIGTERM or SIGINT; the second one ends the process."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[signal.Signals] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if first.done():
            log.warning("%s again: stopping at once", number.name)
            logging.shutdown()
            os._exit(128 + number)
        first.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return first


async def signal_or_failure(
    signalled: asyncio.Future[signal.Signals], works: Iterable[asyncio.Task[Any]]
) -> signal.Signals:
    """The signal, when it has come; raises what one of `works` raises before. They are cancelled by then, if they are not done."""
    waiting: set[asyncio.Future[Any]] = {signalled, *works}
    while not signalled.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for work in done - {signalled}:
            work.result()
    for work in waiting:
        work.cancel()
    return signalled.result()
