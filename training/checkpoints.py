"""What a run that is killed leaves behind, so that the same command goes on where it was.

After every epoch all that training goes on from is written beside the run folder: variables of the network (states of its random
generators included), of the optimiser, the best weights, and the history. The order of examples follows from seed and epoch alone, so
nothing else is needed, and a run that was killed comes to what it would have come to. When the run folder is written, or training
diverges, it is removed.

Who trains need not pass it on: `run` says that the runs it starts are kept, and the training loop asks.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.errors import DataError, RecipeError, TrainingError

Arrays = Sequence[NDArray[Any]]
_SETTINGS, _LOCK = "settings.json", "lock"


@dataclass(frozen=True)
class State:
    """Where training is after a whole epoch."""

    history: list[dict[str, Any]]  # the epochs' figures
    best: int  # epoch, from 1
    arrays: Mapping[str, Arrays]  # by what they are of


class Checkpoint:
    """The state of one pass of the training loop; a run has several passes where its task trains in stages."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, state: State) -> None:
        """Writes `state` in place of the one before; a kill at any moment leaves one of the two."""
        stored: dict[str, Any] = {
            f"{group} {index}": array for group, arrays in state.arrays.items() for index, array in enumerate(arrays)
        }
        stored["figures"] = np.frombuffer(msgspec.json.encode((state.history, state.best)), np.uint8)
        partial = self._path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, **stored)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)

    def load(self) -> State | None:
        """The last state that was saved, None when there is none; raises DataError when it cannot be read."""
        if not self._path.exists():
            return None
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                history, best = msgspec.json.decode(stored["figures"].tobytes(), type=tuple[list[dict[str, Any]], int])
                groups: dict[str, list[NDArray[Any]]] = {}
                for name in stored.files:
                    if name != "figures":
                        groups.setdefault(name.partition(" ")[0], []).append(stored[name])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, msgspec.DecodeError) as error:
            raise DataError(
                f"{self._path}: cannot be read ({error}); remove {self._path.parent} to begin anew"
            ) from error
        return State(history, best, groups)


class _Run:
    """The unfinished run of this process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.passes = folder, 0

    def next(self) -> Checkpoint:
        self.passes += 1
        return Checkpoint(self.folder / f"pass-{self.passes}.npz")


_current: ContextVar[_Run | None] = ContextVar("unfinished run", default=None)


def begin() -> Checkpoint | None:
    """Where the pass of the training loop that begins now keeps its state; None when nobody asked for it."""
    run = _current.get()
    return run.next() if run else None


@contextmanager
def kept(out: Path, settings: Mapping[str, Any]) -> Iterator[bool]:
    """Keeps the state of what is trained for the run folder `out`; yields whether there is one to go on from.

    Raises RecipeError when the unfinished run that is there was of other `settings`, or is still going on.
    """
    folder = out.parent / f".{out.name}.unfinished"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        _alone(lock.fileno(), out)
        _check(folder, out, settings)
        for left in out.parent.glob(f".{out.name}.partial-*"):  # half a run folder of the process that was killed
            shutil.rmtree(left, ignore_errors=True)
        token = _current.set(_Run(folder))
        try:
            yield _started(folder)
        except TrainingError:
            shutil.rmtree(folder)  # it would diverge again
            raise
        except KeyboardInterrupt as stopped:
            if _started(folder):
                raise KeyboardInterrupt("the same command goes on after the last whole epoch") from stopped
            raise
        else:
            shutil.rmtree(folder)
        finally:
            _current.reset(token)
            if not _started(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _started(folder: Path) -> bool:
    return any(folder.glob("pass-*.npz"))


def _alone(lock: int, out: Path) -> None:
    """The system lets go of the lock when its process ends, however that happens."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RecipeError(f"--out {out}: another process is training for this folder; name another one") from error


def _check(folder: Path, out: Path, settings: Mapping[str, Any]) -> None:
    wanted, path = msgspec.json.encode(settings), folder / _SETTINGS
    if not _started(folder):
        path.write_bytes(wanted)
    elif path.read_bytes() != wanted:
        raise RecipeError(
            f"--out {out}: an unfinished run with other settings is in {folder}; remove that or name another --out"
        )
