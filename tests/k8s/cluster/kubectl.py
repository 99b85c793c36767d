"""Talks to the API server as people do."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.k8s.manifests import program

Document = dict[str, Any]


@dataclass(frozen=True)
class Kubectl:
    """As an administrator of the cluster of `configuration`, a kubeconfig."""

    configuration: Path
    namespace: str = "seethrough"

    def __call__(self, *arguments: str | Path, given: str | None = None, check: bool = True) -> str:
        """What it printed; `given` is its standard input. Raises RuntimeError."""
        return self.ran(*arguments, given=given, check=check).stdout

    def ran(
        self, *arguments: str | Path, given: str | None = None, check: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        """How it ended, with what it printed and what it said."""
        done = subprocess.run(self.command(*arguments), input=given, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr}")
        return done

    def command(self, *arguments: str | Path) -> list[str | Path]:
        """To be run by someone else."""
        access: list[str | Path] = ["--kubeconfig", self.configuration, "--namespace", self.namespace]
        return [program("kubectl"), *access, *arguments]

    def get(self, *what: str) -> Document:
        """A resource, or a list of them. Raises RuntimeError."""
        found = json.loads(self("get", *what, "--output", "json"))
        assert isinstance(found, dict)
        return found

    def apply(self, *documents: Document) -> None:
        """Creates resources or makes them so. Raises RuntimeError."""
        self("apply", "--filename", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))

    def answers(self, path: str) -> bool:
        """Whether the API server answers well at a path."""
        return self.ran("get", "--raw", path).returncode == 0
