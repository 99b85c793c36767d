"""How ended processes are told of, and when the next one starts."""

import signal

from server.processes.keeper import Backoff, described


def test_each_start_waits_twice_as_long_up_to_half_a_minute() -> None:
    backoff = Backoff()
    waits = [backoff.after(lived_seconds=1.0) for _ in range(12)]
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert waits[-1] == 30.0


def test_a_process_that_lived_well_starts_the_waits_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(lived_seconds=1.0)
    assert backoff.after(lived_seconds=3600.0) == 0.1


def test_an_end_is_told_by_signal_or_exit_code() -> None:
    assert described(-signal.SIGKILL) == "was killed by SIGKILL"
    assert described(3) == "ended with exit code 3"
