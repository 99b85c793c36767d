"""Memory that was freed and not given back: glibc keeps it, in an arena for each thread, and every version that is loaded comes with new
threads. After fifty reloads of a small network that was 20 MiB more; given back each time, it is none.
"""

import ctypes


def give_back() -> None:
    """Returns what is free to the system, where the C library can: some milliseconds, best spent in a thread."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
