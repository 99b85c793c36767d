"""What is counted for each version, in the terms of Triton's statistics."""

from server.events import BatchDone, ImageAnswered, ImagesFailed, RequestDone, TensorsAnswered, Timings
from server.transport.v2.statistics import Duration, Statistics

TIMINGS = Timings(0.001, 0.002, 0.003, 0.004, 0.011, 8)


def test_a_version_that_did_nothing_has_done_nothing() -> None:
    found = Statistics().of("cats", "1")
    assert (found.name, found.version, found.inferences, found.executions) == ("cats", "1", 0, 0)


def test_an_image_counts_once_in_every_stage() -> None:
    statistics = Statistics(unix_time=lambda: 1_800_000_000.5)
    statistics.on_event(ImageAnswered("cats", "1", TIMINGS, "tabby", 0.97))
    found = statistics.of("cats", "1")
    assert (found.inferences, found.last_inference_ms) == (1, 1_800_000_000_500)
    assert found.success == Duration(1, 11_000_000)
    assert found.queue == Duration(1, 2_000_000)
    assert found.compute_input == Duration(1, 1_000_000)
    assert found.compute_infer == Duration(1, 3_000_000)
    assert found.compute_output == Duration(1, 4_000_000)


def test_rows_without_images_are_one_request() -> None:
    statistics = Statistics()
    statistics.on_event(TensorsAnswered("line", "1", TIMINGS, 5))
    found = statistics.of("line", "1")
    assert (found.inferences, found.success.count) == (5, 1)


def test_runs_of_the_engine_are_counted_by_their_size() -> None:
    statistics = Statistics()
    for images, seconds in ((4, 0.25), (1, 0.125), (4, 0.5)):
        statistics.on_event(BatchDone("cats", "1", images, seconds))
    found = statistics.of("cats", "1")
    assert found.executions == 3
    assert found.batches == {4: Duration(2, 750_000_000), 1: Duration(1, 125_000_000)}


def test_what_got_no_answer_has_failed() -> None:
    statistics = Statistics()
    statistics.on_event(ImagesFailed("cats", "1", "shed", 5))
    statistics.on_event(ImagesFailed("cats", "1", "invalid", 1))
    assert statistics.of("cats", "1").failed == 6


def test_versions_are_counted_apart_and_calls_not_at_all() -> None:
    statistics = Statistics()
    statistics.on_event(ImageAnswered("cats", "1", TIMINGS, "tabby", 0.97))
    statistics.on_event(RequestDone("cats", "2", "ModelInfer", "OK"))
    assert statistics.of("cats", "2").inferences == 0
