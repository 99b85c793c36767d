"""Whom the engine takes next."""

from dataclasses import dataclass

import pytest

from server.batching.policy import padded_size, plan


@dataclass(frozen=True)
class Entry:
    name: str
    deadline: float | None = None
    abandoned: bool = False
    rows: int = 1
    shape: tuple[int, ...] = ()


def test_an_idle_engine_takes_all_that_is_there_oldest_first() -> None:
    first, second = Entry("first"), Entry("second")
    assert plan([first, second], now=0.0, most=8).take == [first, second]


def test_one_image_alone_is_taken_at_once() -> None:
    alone = Entry("alone")
    assert plan([alone], now=0.0, most=8).take == [alone]


def test_a_batch_is_never_larger_than_the_limit_and_leaves_the_rest_waiting() -> None:
    entries = [Entry(str(number)) for number in range(5)]
    decision = plan(entries, now=0.0, most=3)
    assert decision.take == entries[:3]
    assert decision.seen == 3


def test_who_has_expired_is_told_so_and_not_computed() -> None:
    late, early = Entry("late", deadline=9.9), Entry("early", deadline=10.1)
    decision = plan([late, early], now=10.0, most=8)
    assert decision.take == [early]
    assert decision.expired == [late]


def test_a_deadline_of_this_moment_has_passed() -> None:
    assert plan([Entry("now", deadline=10.0)], now=10.0, most=8).take == []


def test_whose_caller_is_gone_is_neither_computed_nor_told() -> None:
    gone, here = Entry("gone", abandoned=True), Entry("here")
    decision = plan([gone, here], now=0.0, most=8)
    assert decision.take == [here]
    assert decision.expired == []
    assert decision.seen == 2


def test_those_who_are_not_computed_do_not_take_places_in_the_batch() -> None:
    entries = [Entry("gone", abandoned=True), Entry("late", deadline=0.0), Entry("first"), Entry("second")]
    assert plan(entries, now=1.0, most=2).take == entries[2:]


def test_nothing_waiting_plans_nothing() -> None:
    assert plan([], now=0.0, most=8).seen == 0


@pytest.mark.parametrize(("images", "size"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8)])
def test_a_batch_is_padded_to_the_next_bucket(images: int, size: int) -> None:
    assert padded_size(images, (1, 2, 4, 8)) == size


def test_an_engine_without_buckets_gets_the_exact_size() -> None:
    assert padded_size(5, ()) == 5


def test_a_batch_ends_before_the_entry_that_does_not_fit_and_nobody_is_overtaken() -> None:
    entries = [Entry("two", rows=2), Entry("three", rows=3), Entry("one", rows=1)]
    decision = plan(entries, now=0.0, most=4)
    assert decision.take == entries[:1]
    assert decision.seen == 1


def test_an_entry_larger_than_a_batch_runs_alone() -> None:
    entries = [Entry("large", rows=9), Entry("one")]
    assert plan(entries, now=0.0, most=4).take == entries[:1]


def test_only_equal_shapes_share_a_batch() -> None:
    entries = [Entry("short", shape=(5,)), Entry("short too", shape=(5,)), Entry("long", shape=(7,))]
    assert plan(entries, now=0.0, most=8).take == entries[:2]
