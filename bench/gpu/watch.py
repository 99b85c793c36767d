"""How busy the GPU is and how much of its memory is taken, as nvidia-smi tells it several times a second."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

_EVERY_MS = 200
_NVIDIA_SMI = "nvidia-smi"


@dataclass
class Use:
    """What was seen; empty without a GPU. Complete when the watching has ended."""

    busy: list[float] = field(default_factory=list)  # per cent of the time, of each sample
    memory: list[float] = field(default_factory=list)  # MiB

    def shown(self) -> tuple[str, str]:
        """Median per cent of the time busy, and the most memory in MiB."""
        if not self.busy:
            return "", ""
        return f"{np.median(self.busy):.0f}", f"{max(self.memory):,.0f}"


def describe() -> str:
    """Name, memory and driver of the GPU; raises RuntimeError when nvidia-smi is not there."""
    if shutil.which(_NVIDIA_SMI) is None:
        raise RuntimeError("no nvidia-smi here, so no NVIDIA GPU: try things out with --device cpu")
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    name, memory, driver = _run(query).splitlines()[0].split(", ")
    return f"{name}, {memory}, driver {driver}"


def _run(arguments: list[str]) -> str:
    try:
        return subprocess.run([_NVIDIA_SMI, *arguments], check=True, capture_output=True, text=True).stdout
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"nvidia-smi: {error.stdout.strip() or error.stderr.strip()}") from error


@contextmanager
def watching(on: bool) -> Iterator[Use]:
    """Watches the first GPU during the block, if `on`."""
    use = Use()
    if not on:
        yield use
        return
    query = [
        "--id=0",
        "--query-gpu=utilization.gpu,memory.used",
        "--format=csv,noheader,nounits",
        f"--loop-ms={_EVERY_MS}",
    ]
    with subprocess.Popen([_NVIDIA_SMI, *query], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # from here on it watches
        try:
            yield use
        finally:
            process.terminate()
            _read(first + process.stdout.read(), use)


def _read(told: str, use: Use) -> None:
    """Adds the whole lines of "BUSY, MEMORY"; the last may be cut off."""
    for line in told.splitlines(keepends=True):
        if line.endswith("\n"):
            busy, memory = line.split(",")
            use.busy.append(float(busy))
            use.memory.append(float(memory))
