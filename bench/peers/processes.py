"""A server and everything that it starts, as one thing to be measured and ended.

Some peers' processes leave their parents (Ray's do). All inherit the environment, though, and so a variable of one's own in it
finds them again.
"""

import contextlib
import re
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_TAG = "PEER_TREE"
_GRACE_SECONDS = 3.0
_LINES_OF_LOG = 3
_MIB = 1 << 20
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Tree:
    """A process that has been started, and its descendants."""

    root: subprocess.Popen[bytes]
    tag: str
    log: Path

    def processes(self) -> list[psutil.Process]:
        """Those alive."""
        return [each for each in psutil.process_iter() if self._is_ours(each)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_TAG) == self.tag
        except psutil.Error:  # gone meanwhile, or somebody else's
            return False

    def complaint(self) -> str:
        """The last lines it has printed that speak of an error, or else the very last ones, as one."""
        plain = _COLOUR.sub("", self.log.read_text(errors="replace"))
        printed = [line.strip(" |") for line in plain.splitlines() if line.strip()]
        lines = [line for line in printed if "error" in line.lower()] or printed
        return " / ".join(lines[-_LINES_OF_LOG:]) or "it printed nothing"

    def stop(self) -> None:
        """SIGTERM to the first process, then to what it has left behind, then SIGKILL."""
        self.root.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.root.wait(_GRACE_SECONDS)
        for end in (psutil.Process.terminate, psutil.Process.kill):
            left = self.processes()
            for each in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    end(each)
            psutil.wait_procs(left, timeout=_GRACE_SECONDS)
        self.root.wait()


def start(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Tree:
    """Starts `command` in `folder`, where what it prints goes to the file `log`. Raises OSError when there is no such program."""
    tag, log = uuid.uuid4().hex, folder / "log"
    with log.open("wb") as file:
        root = subprocess.Popen(
            command,
            env={**environment, _TAG: tag},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Tree(root, tag, log)


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """User and system time of all of them so far, to 10 ms each."""
    total = 0.0
    for each in processes:
        with contextlib.suppress(psutil.Error):
            times = each.cpu_times()
            total += times.user + times.system
    return total


def memory(processes: Sequence[psutil.Process]) -> tuple[float, float]:
    """RSS and PSS in MiB, summed up. PSS counts a page that several share in parts, RSS for each of them."""
    rss = pss = 0
    for each in processes:
        with contextlib.suppress(psutil.Error):
            told = each.memory_full_info()
            rss, pss = rss + told.rss, pss + told.pss
    return rss / _MIB, pss / _MIB
