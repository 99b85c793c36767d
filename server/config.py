"""The server's settings, as one frozen value that the command line or the environment fills and everyone else reads."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

MIB = 1 << 20
# Most images in one run, where nothing else was asked for and larger batches pay.
LARGEST_BATCH = 32


class Device(StrEnum):
    """Where the engine runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class EngineName(StrEnum):
    """What executes the graphs."""

    AUTO = "auto"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"


class PrecisionName(StrEnum):
    """In which arithmetic a model runs."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


class EngineProcess(StrEnum):
    """Whether serving processes share one engine, in a process of its own."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""

    @classmethod
    def port_taken(cls, host: str, port: int, reason: Exception) -> "StartError":
        """For a port that cannot be listened on."""
        return cls(f"cannot listen on {host}:{port}: {reason}; choose another port or stop who has it")


@dataclass(frozen=True)
class Settings:
    """What can be set; `python -m server --help` explains each by its effect."""

    models: Path
    model_name: str
    host: str
    grpc_port: int
    http_port: int
    device: Device
    engine: EngineName
    precision: PrecisionName
    threads: int  # 0: as many as make the engine faster
    decode_threads: int
    max_batch: int  # 0: as many images as pay
    max_inflight_images: int
    max_inflight_bytes: int
    max_request_bytes: int
    max_image_pixels: int
    grace_seconds: float
    drain_seconds: float
    processes: int = 1
    engine_process: EngineProcess = EngineProcess.AUTO
    instances: int = 1
    engine_seconds: float = 30.0
    shed_explanations_first: bool = True

    @property
    def cores(self) -> int:
        """Cores for one of the engines of one of the processes: its part of those that all of them may use."""
        return max(1, available_cores() // self.processes // self.instances)


def available_cores() -> int:
    """Cores that this process may use: its CPU affinity, and a container's quota (cgroup v2 cpu.max) rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(cores, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no cgroup v2 here, or "max": no quota
        return cores
