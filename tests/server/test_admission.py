"""How much may be in the house at once, and for whom the last places are kept."""

import pytest

from server.batching.policy import Priority
from server.errors import DeadlineError, InvalidRequestError, OverloadedError
from server.serving.admission import Admission, Demand


def demand(
    images: int = 1,
    size_bytes: int = 1,
    priority: Priority = Priority.NORMAL,
    *,
    explained: bool = False,
    wait: float = 0.0,
    left: float | None = None,
) -> Demand:
    return Demand(images, size_bytes, priority, explained, wait, left)


def places(admission: Admission, wanted: Demand) -> int:
    """How many such requests of one image come in, one after the other."""
    taken = []
    try:
        while True:
            permit = admission.admit(wanted)
            permit.__enter__()
            taken.append(permit)
    except OverloadedError:
        return len(taken)
    finally:
        for permit in taken:
            permit.__exit__()


def test_a_permit_is_given_back_even_when_the_work_fails() -> None:
    admission = Admission(1, 100)
    with pytest.raises(ZeroDivisionError), admission.admit(demand()):
        raise ZeroDivisionError
    assert admission.images == 0


def test_a_full_house_refuses_with_the_time_to_come_again() -> None:
    admission = Admission(2, 100)
    with admission.admit(demand(2, 10)), pytest.raises(OverloadedError) as refusal:
        admission.admit(demand(1, 10, wait=0.75))
    assert refusal.value.retry_after_seconds == 0.75


def test_bytes_count_as_images_do() -> None:
    admission = Admission(10, 100)
    with admission.admit(demand(1, 60)), pytest.raises(OverloadedError, match="60 of 100 bytes"):
        admission.admit(demand(1, 41))


@pytest.mark.parametrize(("images", "size_bytes"), [(3, 10), (1, 101)])
def test_what_never_fits_is_told_to_be_split_instead_of_retried(images: int, size_bytes: int) -> None:
    with pytest.raises(InvalidRequestError, match="split it"):
        Admission(2, 100).admit(demand(images, size_bytes))


@pytest.mark.parametrize(
    ("priority", "explained", "number"),
    [
        (Priority.HIGH, False, 100),
        (Priority.NORMAL, False, 90),
        (Priority.LOW, False, 50),
        (Priority.HIGH, True, 75),
        (Priority.NORMAL, True, 68),
        (Priority.LOW, True, 38),
    ],
)
def test_the_last_places_are_kept_for_the_urgent_and_the_plain(
    priority: Priority, explained: bool, number: int
) -> None:
    assert places(Admission(100, 1000), demand(priority=priority, explained=explained)) == number


def test_explanations_may_be_refused_no_earlier_than_others() -> None:
    admission = Admission(100, 1000, shed_explanations_first=False)
    assert places(admission, demand(explained=True)) == 90


def test_a_house_of_one_image_is_for_everybody() -> None:
    assert places(Admission(1, 10), demand(priority=Priority.LOW, explained=True)) == 1


def test_a_request_larger_than_its_share_finds_room_in_an_empty_house() -> None:
    with Admission(10, 100).admit(demand(10, 10, Priority.LOW)):
        pass


def test_who_would_be_answered_too_late_is_refused_at_once() -> None:
    with pytest.raises(OverloadedError, match=r"deadline is in 0\.500 s and work of about 0\.750 s") as refusal:
        Admission(10, 100).admit(demand(wait=0.75, left=0.5))
    assert refusal.value.retry_after_seconds == 0.25


def test_who_can_be_answered_in_time_comes_in() -> None:
    with Admission(10, 100).admit(demand(wait=0.4, left=0.5)):
        pass


def test_who_would_come_in_by_a_hair_is_refused() -> None:
    with pytest.raises(OverloadedError):
        Admission(10, 100).admit(demand(wait=0.41, left=0.5))


def test_who_is_not_known_yet_is_turned_away_from_a_full_house() -> None:
    admission = Admission(10, 100)
    admission.turn_away(0.0, None)
    with admission.admit(demand(9, 9)), pytest.raises(OverloadedError):
        admission.turn_away(0.0, None)


@pytest.mark.parametrize(("left", "error"), [(0.5, OverloadedError), (0.0, DeadlineError)])
def test_who_is_not_known_yet_is_turned_away_when_it_would_be_too_late(left: float, error: type[Exception]) -> None:
    with pytest.raises(error):
        Admission(10, 100).turn_away(0.41, left)


def test_who_is_too_late_already_is_told_so() -> None:
    with pytest.raises(DeadlineError):
        Admission(10, 100).admit(demand(left=0.0))
