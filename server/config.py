"""The server's settings, as one frozen value that the command line or the environment fills and everyone else reads."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bundle.limits import FORMATS

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


class LogFormat(StrEnum):
    """How the log is written."""

    TEXT = "text"
    JSON = "json"


class Traces(StrEnum):
    """Whether calls are traced."""

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
class Evidence:
    """What is written of calls, to look at afterwards."""

    log_level: str = "info"
    log_format: LogFormat = LogFormat.TEXT
    log_rate: float = 0.0  # share of calls that get a line, 0..1
    traces: bool = False
    trace_rate: float | None = None  # share of calls, 0..1; None: what the variable OTEL_TRACES_SAMPLER says
    record: Path | None = None  # None: nothing is recorded
    record_rate: float = 0.01  # share of calls, 0..1
    record_max_bytes: int = 1024 * MIB


@dataclass(frozen=True)
class Security:
    """Who may call. Whatever is None is not asked for."""

    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    token_file: Path | None = None
    admin_token_file: Path | None = None
    metrics_need_token: bool = False


@dataclass(frozen=True)
class Reload:
    """How what is in service follows the folder of models."""

    watch_seconds: float = 0.0  # from one look to the next; 0: only when asked to load
    keep_versions: int = 0  # of each model, the highest; 0: all


@dataclass(frozen=True)
class Bounds:
    """What callers may take before, and after, they are let in."""

    image_formats: tuple[str, ...] = FORMATS
    decode_seconds: float = 5.0  # of processor time, for one picture
    max_connections: int = 1000  # to each port
    max_reading_bytes: int = 256 * MIB  # of HTTP bodies, over all connections
    max_connection_age_seconds: float = 0.0  # 0: no limit


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
    probe_port: int | None = None  # None: no such port
    security: Security = Security()
    evidence: Evidence = Evidence()
    reload: Reload = Reload()
    bounds: Bounds = Bounds()
    page: bool = True  # whether the HTTP port has one for people

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
