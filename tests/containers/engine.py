"""Builds the images with buildah and runs them with podman, as root and without a daemon, in a store of their own under build/.

Where a registry can be reached, `CONTAINER_BASE=pull` builds on the official base image. Otherwise a stand-in made of Debian packages takes
its name (base.sh), and the Dockerfile is built as it is.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STORE = ROOT / "build/containers"
_PROGRAMS = ("buildah", "podman", "runc", "debootstrap")
# Where Debian, and so the base image, keeps the authorities that connections are checked against.
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def missing() -> str:
    """What keeps this machine from building and running images, and what to do; empty when nothing does."""
    away = [name for name in _PROGRAMS if not shutil.which(name)]
    if away:
        return f"{', '.join(away)} not found: on Debian, apt install --no-install-recommends {' '.join(_PROGRAMS)}"
    return "" if os.geteuid() == 0 else "images are built and run as root here"


def build(tag: str, target: str = "server", flavour: str = "cpu") -> str:
    """Builds a target of the Dockerfile; what earlier builds made is used again. Returns the image's name.

    Raises CalledProcessError; what the build says is on standard error.
    """
    pull = os.environ.get("CONTAINER_BASE") == "pull"
    if not pull:
        subprocess.run([HERE / "base.sh", STORE], check=True, stdout=subprocess.DEVNULL)
    name = f"localhost/seethrough:{tag}"
    options = ["--isolation", "chroot", "--network", "host", "--format", "docker", "--layers"]
    # Those of this machine, during the build only: where it reaches its package index through a proxy, that one may have its own.
    options += [f"--volume={_AUTHORITIES}:{_AUTHORITIES}:ro"] if _AUTHORITIES.is_file() else []
    options += ["--pull" if pull else "--pull-never", "--target", target, "--build-arg", f"FLAVOUR={flavour}"]
    subprocess.run(
        [*_command("buildah"), "build", *options, "--tag", name, ROOT], check=True, stdout=subprocess.DEVNULL
    )
    return name


def buildah(*arguments: str | Path) -> str:
    """Runs buildah; what it printed on standard output. Raises CalledProcessError."""
    return subprocess.run([*_command("buildah"), *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def podman(*arguments: str | Path, check: bool = True) -> str:
    """Runs podman; what it printed on standard output. Raises CalledProcessError."""
    done = subprocess.run(
        [*_command("podman"), *arguments], env=_environment(), stdout=subprocess.PIPE, text=True, check=check
    )
    return done.stdout


def inspect(image: str) -> dict[str, Any]:
    """What is known of an image: Size in bytes, Config, Healthcheck and more."""
    (known,) = json.loads(podman("image", "inspect", image))
    assert isinstance(known, dict)
    return known


@contextmanager
def running(
    image: str, options: Sequence[str] = (), arguments: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A container for the block: its name, and the podman that waits for its end and hands its output on.

    As unprivileged as one can be: nothing can be written, no capability, no way to one, 2 GiB of memory.
    """
    name = f"seethrough-{uuid4().hex[:8]}"
    confined = [
        "--read-only",
        "--read-only-tmpfs=false",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--memory",
        "2g",
    ]
    told = [f"--env={key}={value}" for key, value in (variables or {}).items()]
    # Podman's own health checks are started by systemd; the tests run the image's command themselves.
    options = ["--name", name, "--network", "host", "--no-healthcheck", *confined, *told, *options]
    command = [*_command("podman"), "run", *options, image, *arguments]
    with subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield name, process
        finally:
            podman("rm", "--force", "--ignore", "--time", "0", name)


def _command(program: str) -> list[str | Path]:
    return [program, "--root", STORE / "images", "--runroot", STORE / "run"]


def _environment() -> dict[str, str]:
    return os.environ | {"CONTAINERS_CONF": str(HERE / "containers.conf")}
