"""How much memory of each GPU is taken, as NVIDIA's driver tells it (NVML, https://docs.nvidia.com/deploy/nvml-api).

ONNX Runtime does not tell what it holds, and what others hold on the device counts too when memory runs out. The driver's library comes
with the driver, into containers also; it is asked through ctypes, because three functions are no reason for a dependency.
"""

import ctypes
from functools import cache
from typing import NamedTuple

_LIBRARY = "libnvidia-ml.so.1"
_SUCCESS = 0


class GpuMemory(NamedTuple):
    """Of one device, in bytes; `gpu` is its number among those that this process can see."""

    gpu: int
    total_bytes: int
    used_bytes: int


class _Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def gpu_memory(library: str = _LIBRARY) -> list[GpuMemory]:
    """The memory of every device; none where there is no driver. A device that does not answer is left out."""
    nvml = _initialised(library)
    if nvml is None:
        return []
    count = ctypes.c_uint()
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _SUCCESS:
        return []
    found = []
    for gpu in range(count.value):
        device, memory = ctypes.c_void_p(), _Memory()
        if (
            nvml.nvmlDeviceGetHandleByIndex_v2(gpu, ctypes.byref(device)) == _SUCCESS
            and nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == _SUCCESS
        ):
            found.append(GpuMemory(gpu, memory.total, memory.used))
    return found


@cache
def _initialised(library: str) -> ctypes.CDLL | None:
    """The library, ready; None where there is no driver, or it does not work."""
    try:
        nvml = ctypes.CDLL(library)
    except OSError:
        return None
    return nvml if nvml.nvmlInit_v2() == _SUCCESS else None
