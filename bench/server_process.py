"""Starts `python -m server` on free ports, as a user would, and stops it as Kubernetes would."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_READY = re.compile(r"serving (.+) models=")


@dataclass(frozen=True)
class RunningServer:
    """A server that has loaded its models."""

    addresses: Mapping[str, str]  # host:port of each of its ports: grpc, http, and probes where asked for
    process: subprocess.Popen[str]

    @property
    def grpc(self) -> str:
        """Address of the gRPC port."""
        return self.addresses["grpc"]

    @property
    def http(self) -> str:
        """Address of the HTTP port."""
        return self.addresses["http"]


@contextmanager
def serving(
    models: Path,
    *options: str,
    log: IO[str] | None = None,
    environment: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
    module: str = "server",
) -> Iterator[RunningServer]:
    """Serves `models` for the block; `options` are further command-line options. The log goes to `log` or to standard error.

    `module` is what is run, the server or one that is like it. `within` is a command that ends by executing its last arguments, and changes the surroundings of the server before.
    Raises RuntimeError when the server ends before it has loaded its models.
    """
    command = [*within, sys.executable, "-m", module, "--models", str(models), "--host", "127.0.0.1"]
    command += ["--grpc-port", "0", "--http-port", "0", "--grace-seconds", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True) as process:
        try:
            yield _wait_until_ready(process)
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()


def _wait_until_ready(process: subprocess.Popen[str]) -> RunningServer:
    assert process.stdout is not None
    for line in process.stdout:
        if found := _READY.search(line):
            return RunningServer(dict(part.split("=", 1) for part in found[1].split()), process)
    raise RuntimeError(f"the server ended with status {process.wait()} before it was ready; its log is above")
