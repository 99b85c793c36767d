"""What is counted for each version, in the terms of Triton's statistics."""

from server.events import BatchDone, Events, ImagesAnswered, ImagesFailed, RequestDone, TensorsAnswered, Timings
from server.tally import Tally
from server.transport.v2.statistics import Duration, statistics

TIMINGS = Timings(0.001, 0.002, 0.003, 0.004, 0.011, 8)


def counting(unix_time: float = 0.0) -> tuple[Events, Tally]:
    events, tally = Events(), Tally(lambda: unix_time)
    tally.subscribe(events)
    return events, tally


def test_a_version_that_did_nothing_has_done_nothing() -> None:
    found = statistics(Tally().of("cats", "1"))
    assert (found.name, found.version, found.inferences, found.executions) == ("cats", "1", 0, 0)


def test_images_that_travelled_together_are_one_request() -> None:
    events, tally = counting(1_800_000_000.5)
    events.emit(ImagesAnswered("cats", "1", TIMINGS, ("tabby", "lynx"), (0.97, 0.5)))
    found = statistics(tally.of("cats", "1"))
    assert (found.inferences, found.last_inference_ms) == (2, 1_800_000_000_500)
    assert found.success == Duration(1, 11_000_000)
    assert found.queue == Duration(1, 2_000_000)
    assert found.compute_input == Duration(1, 1_000_000)
    assert found.compute_infer == Duration(1, 3_000_000)
    assert found.compute_output == Duration(1, 4_000_000)


def test_rows_without_images_are_one_request() -> None:
    events, tally = counting()
    events.emit(TensorsAnswered("line", "1", TIMINGS, 5))
    found = statistics(tally.of("line", "1"))
    assert (found.inferences, found.success.count) == (5, 1)


def test_runs_of_the_engine_are_counted_by_their_size() -> None:
    events, tally = counting()
    for images, seconds in ((4, 0.25), (1, 0.125), (4, 0.5)):
        events.emit(BatchDone("cats", "1", images, seconds))
    found = statistics(tally.of("cats", "1"))
    assert found.executions == 3
    assert found.batches == {4: Duration(2, 750_000_000), 1: Duration(1, 125_000_000)}


def test_what_got_no_answer_has_failed() -> None:
    events, tally = counting()
    events.emit(ImagesFailed("cats", "1", "shed", 5))
    events.emit(ImagesFailed("cats", "1", "invalid", 1))
    assert statistics(tally.of("cats", "1")).failed == 6


def test_versions_are_counted_apart_and_calls_not_at_all() -> None:
    events, tally = counting()
    events.emit(ImagesAnswered("cats", "1", TIMINGS, ("tabby",), (0.97,)))
    events.emit(RequestDone("cats", "2", "ModelInfer", "OK"))
    assert statistics(tally.of("cats", "2")).inferences == 0
