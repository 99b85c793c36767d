"""Answers that wait to be sent: what they count for, and until when."""

import asyncio

from server.transport.outbox import Outbox


class Room:
    """What is taken now."""

    taken = 0

    def add(self, size_bytes: int) -> None:
        self.taken += size_bytes


async def test_an_answer_counts_until_its_call_ends() -> None:
    room, reads = Room(), asyncio.Event()
    outbox, call = Outbox(room.add), asyncio.create_task(reads.wait())
    outbox.put(call, 90)
    assert room.taken == 90
    reads.set()
    await call
    await asyncio.sleep(0)  # what is to be done at the end of a task is done after it
    assert room.taken == 0


async def test_answers_of_a_stream_count_until_each_is_sent_and_the_rest_until_its_end() -> None:
    room = Room()
    outbox, call = Outbox(room.add), asyncio.create_task(asyncio.Event().wait())
    for size in (10, 20, 30):
        outbox.put(call, size)
    outbox.take(call, 10)
    assert room.taken == 50
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await asyncio.sleep(0)
    assert room.taken == 0
