"""How much may be in the house at once."""

import pytest

from server.errors import InvalidRequestError, OverloadedError
from server.serving.admission import Admission


def test_a_permit_is_given_back_even_when_the_work_fails() -> None:
    admission = Admission(1, 100)
    with pytest.raises(ZeroDivisionError), admission.admit(1, 1, 0.1):
        raise ZeroDivisionError
    assert admission.images == 0


def test_a_full_house_refuses_with_the_time_to_come_again() -> None:
    admission = Admission(2, 100)
    with admission.admit(2, 10, 0.1), pytest.raises(OverloadedError) as refusal:
        admission.admit(1, 10, 0.375)
    assert refusal.value.retry_after_seconds == 0.75


def test_bytes_count_as_images_do() -> None:
    admission = Admission(10, 100)
    with admission.admit(1, 60, 0.1), pytest.raises(OverloadedError, match="60 of 100 bytes"):
        admission.admit(1, 41, 0.1)


@pytest.mark.parametrize(("images", "size_bytes"), [(3, 10), (1, 101)])
def test_what_never_fits_is_told_to_be_split_instead_of_retried(images: int, size_bytes: int) -> None:
    with pytest.raises(InvalidRequestError, match="split it"):
        Admission(2, 100).admit(images, size_bytes, 0.1)
