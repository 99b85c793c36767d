"""The driver's library is asked as its header says: against one of two devices, of which the second does not answer."""

import shutil
import subprocess
from pathlib import Path

import pytest

from server.events import ModelChanged, ModelState
from server.gpu_memory import GpuMemory, gpu_memory
from tests.server.gated import metered

# The prototypes are those of nvml.h.
DRIVER = """
#include <stddef.h>
typedef struct nvmlDevice_st *nvmlDevice_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
static int device;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *found) { *found = (nvmlDevice_t)&device; return index ? 15 : 0; }
int nvmlDeviceGetMemoryInfo(nvmlDevice_t of, nvmlMemory_t *memory) {
  if (of != (nvmlDevice_t)&device) return 2;
  *memory = (nvmlMemory_t){85899345920ULL, 80530636800ULL, 5368709120ULL};
  return 0;
}
"""


def test_each_device_that_answers_tells_its_memory(tmp_path: Path) -> None:
    if (compiler := shutil.which("gcc")) is None:
        pytest.skip("gcc is not installed: apt-get install gcc libc6-dev")
    source, library = tmp_path / "nvml.c", tmp_path / "libnvml.so"
    source.write_text(DRIVER)
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source], check=True, timeout=60)
    assert gpu_memory(str(library)) == [GpuMemory(0, 80 * 2**30, 5 * 2**30)]


def test_without_a_driver_there_are_no_devices() -> None:
    assert gpu_memory("libnvidia-of-nobody.so.1") == []


def test_the_driver_is_not_asked_while_all_models_run_on_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.metrics.gpu_memory", lambda: [GpuMemory(0, 80, 5)])
    events, metrics = metered()
    lines = {}
    for device in ("cpu", "cuda"):
        events.emit(ModelChanged("cats", "1", ModelState.SERVING, "", "onnxruntime", "fp32", device))
        page = metrics.page(inflight=0, queued=())[0].decode().splitlines()
        lines[device] = [line for line in page if line.startswith("seethrough_gpu")]
    assert lines == {
        "cpu": [],
        "cuda": ['seethrough_gpu_memory_used_bytes{gpu="0"} 5.0', 'seethrough_gpu_memory_total_bytes{gpu="0"} 80.0'],
    }
