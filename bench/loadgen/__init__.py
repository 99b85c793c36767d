"""Load from the generator in C that lies here: many clients, next to no CPU, and every answer compared with what it must be.

One in Python takes about as much of the cores as a good server does, and shares them with it; the calls of this one cost 10 to 60 µs.
`make build/loadgen` compiles it; it needs gcc and libnghttp2 (on Debian: apt install gcc libnghttp2-dev).
"""

import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

GENERATOR = Path(__file__).parents[2] / "build" / "loadgen"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
WARM_UP_SECONDS = 0.5
# gRPC multiplexes calls; more connections let servers that have a thread for each use several.
_CONNECTIONS = 4
_GRPC_OK, _HTTP_OK = 0, 200
Answer = tuple[int, int, int, bytes]
"""Number of the request, HTTP status, gRPC status, and what was answered."""
# One answer as main.c writes it: latency, number of the request, HTTP status, gRPC status, size of what follows.
_RECORD = struct.Struct("<dIiiI")
# The prefix of a gRPC message: whether it is compressed, and its size.
_PREFIX = struct.Struct(">BI")

Judge = Callable[[int, bytes], str]
"""What is wrong with the answer to the request of this number, a message or an HTTP body; empty when it is right."""


@dataclass(frozen=True)
class Calls:
    """What the clients send, in turn: serialised messages to a gRPC method, or bodies to POST to an HTTP path."""

    bodies: Sequence[bytes]
    path: str = MODEL_INFER
    protocol: Literal["grpc", "http"] = "grpc"
    headers: Mapping[str, str] = field(default_factory=dict)  # of HTTP
    judge: Judge | None = None  # without one, an answer is right when its status says so


@dataclass(frozen=True)
class Load:
    """How the calls went."""

    latencies: NDArray[np.float64]  # seconds of each call, in the order of the answers
    seconds: float  # from the first call to the last answer
    statuses: NDArray[np.int32]  # gRPC status of each, in that order; -1 over HTTP
    errors: int  # answers that are no success, or wrong
    first_error: str  # empty if there is none
    client_cpu_seconds: float
    metered: float  # by how much the meter went up

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.latencies) / self.seconds


def run(
    target: str,
    calls: Calls,
    *,
    clients: int = 1,
    seconds: float = 5.0,
    warm_up_seconds: float = WARM_UP_SECONDS,
    connections: int = _CONNECTIONS,
    rate: float = 0.0,
    timeout_ms: int = 0,
    meter: Callable[[], float] = lambda: 0.0,
) -> Load:
    """Loads the server at `target`, HOST:PORT, with `clients` calls in flight, each followed by the next when it is answered.

    With a `rate`, in calls a second, they do not wait for answers: latencies count from when a call was due, and `clients` is the most
    that may be in flight. `timeout_ms` is the deadline of each call over gRPC, 0 for none. Over gRPC they share as many as `connections`; over HTTP/1.1 each client has its own. `meter` is read when the warm-up has
    ended and when the last answer has come: for the server's CPU time. Raises RuntimeError when the generator is not compiled or
    the load cannot be finished.
    """
    if not GENERATOR.exists():
        raise RuntimeError(f"{GENERATOR} is not there: compile it with `make build/loadgen`")
    host, port = target.rsplit(":", 1)
    command = [str(GENERATOR), calls.protocol, host.strip("[]"), port, calls.path, str(clients)]
    command += [str(min(clients, connections)), str(warm_up_seconds), str(seconds), str(rate), str(timeout_ms)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            return _converse(process, calls, target, meter)
        except BrokenPipeError as error:  # it ended while it was written to
            _close(process.stdin)
            raise RuntimeError(_complaint(process)) from error
        finally:
            process.kill()


def _close(stream: IO[bytes] | None) -> None:
    """Gives up what has not been written to a process that has ended."""
    assert stream is not None
    with suppress(BrokenPipeError):
        stream.close()


def _converse(process: subprocess.Popen[bytes], calls: Calls, target: str, meter: Callable[[], float]) -> Load:
    assert process.stdout is not None
    wires = [
        _PREFIX.pack(0, len(body)) + body if calls.protocol == "grpc" else _post(calls, target, body)
        for body in calls.bodies
    ]
    _write(process, struct.pack("<I", len(wires)), *(struct.pack("<I", len(wire)) + wire for wire in wires))
    _expect(process, b"ready")
    before = meter()
    _write(process, b"go\n")
    elapsed, cpu, _ = map(float, _expect(process, b"done"))
    metered = meter() - before
    written = process.stdout.read()
    if process.wait():
        raise RuntimeError(_complaint(process))
    latencies, statuses, wrong = _read_answers(written, calls)
    return Load(latencies, elapsed, statuses, len(wrong), wrong[0] if wrong else "", cpu, metered)


def _post(calls: Calls, target: str, body: bytes) -> bytes:
    headers = {"Host": target, "Content-Length": str(len(body)), **calls.headers}
    lines = [f"POST {calls.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _write(process: subprocess.Popen[bytes], *parts: bytes) -> None:
    assert process.stdin is not None
    process.stdin.writelines(parts)
    process.stdin.flush()


def _expect(process: subprocess.Popen[bytes], word: bytes) -> list[bytes]:
    """What follows `word` on the next line of the generator."""
    assert process.stdout is not None
    found, *values = process.stdout.readline().split() or [b""]
    if found != word:
        raise RuntimeError(_complaint(process))
    return values


def _complaint(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    return process.stderr.read().decode().strip() or f"loadgen ended with status {process.wait()}"


def _read_answers(written: bytes, calls: Calls) -> tuple[NDArray[np.float64], NDArray[np.int32], list[str]]:
    """Latencies, gRPC statuses, and what is wrong with the answers that are not right."""
    latencies: list[float] = []
    statuses: list[int] = []
    wrong: list[str] = []
    # Most answers to one request are the same to the byte: each is judged once.
    judged: dict[Answer, str] = {}
    for latency, answer in _records(written):
        latencies.append(latency)
        statuses.append(answer[2])
        if answer not in judged:
            judged[answer] = _judge(calls, *answer)
        if judged[answer]:
            wrong.append(judged[answer])
    return np.array(latencies), np.array(statuses, np.int32), wrong


def _records(data: bytes) -> Iterator[tuple[float, Answer]]:
    at = 0
    while at < len(data):
        latency, request, http, grpc, size = _RECORD.unpack_from(data, at)
        at += _RECORD.size + size
        yield latency, (request, http, grpc, data[at - size : at])


def _judge(calls: Calls, request: int, http: int, grpc: int, answer: bytes) -> str:
    told = answer.decode(errors="replace")[:200]
    if http != _HTTP_OK:
        return f"request {request}: HTTP status {http}: {told}"
    if calls.protocol == "grpc":
        if grpc != _GRPC_OK:
            return f"request {request}: gRPC status {grpc}: {told}"
        compressed, size = _PREFIX.unpack_from(answer.ljust(_PREFIX.size, b"\1"))
        if compressed or size != len(answer) - _PREFIX.size:
            return f"request {request}: not one whole message"
        answer = answer[_PREFIX.size :]
    if calls.judge is None or not (said := calls.judge(request, answer)):
        return ""
    return f"request {request}: {said}"
