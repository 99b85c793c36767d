"""Memory that was freed and not given back: glibc keeps it, in an arena for each thread, and every version that is loaded comes with new
threads. So there are few arenas, and they are emptied after each version that goes.
"""

import ctypes
import os

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2


def use_few_arenas() -> None:
    """Keeps threads that come later from having arenas of their own, where the C library can. Whoever set MALLOC_ARENA_MAX gets that."""
    if "MALLOC_ARENA_MAX" not in os.environ and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Returns what is free to the system, where the C library can: some milliseconds, best spent in a thread."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
