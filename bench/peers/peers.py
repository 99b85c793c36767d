"""The servers that are compared: where each is installed, how one talks to it, and the settings worth trying.

TorchServe is left out: it needs Java, and its repository is archived.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from bench.peers import starters
from bench.peers.starters import ROOT, SITE_PACKAGES, Setting, Starter
from bench.peers.workload import BYTE_ELEMENTS, POSTS, TENSORS, Talk
from server.config import available_cores

OWN_ENVIRONMENT = Path(sys.prefix)


@dataclass(frozen=True)
class Peer:
    """One of the servers."""

    name: str
    package: str  # whose version tells which server it is; empty for ours
    environment: Path  # the virtual environment in which it is installed
    start: Starter
    settings: Sequence[Setting]
    talk: Talk = TENSORS
    variants: Mapping[str, Talk] = field(default_factory=dict)  # settings that want another way to talk

    @property
    def is_ours(self) -> bool:
        """Whether it is the server of this project."""
        return not self.package

    @property
    def version(self) -> str:
        """Of the server as it is installed; empty when it is not."""
        return installed(self.environment, self.package)

    def talk_of(self, setting: Setting) -> Talk:
        """How one talks to it, run so."""
        return self.variants.get(setting.variant, self.talk)


def installed(environment: Path, package: str) -> str:
    """The version of `package` in a virtual environment; empty if it is not there."""
    found = (environment / SITE_PACKAGES).glob(f"{package.replace('-', '_')}-*.dist-info")
    return next((each.name.removesuffix(".dist-info").rpartition("-")[2] for each in found), "")


def _grid(delays: Sequence[float | None] = (None,), variants: Sequence[str] = ("",)) -> tuple[Setting, ...]:
    """Every combination, each on one engine thread and on as many as there are cores."""
    threads = sorted({1, available_cores()})
    return tuple(Setting(count, delay, variant) for variant, count, delay in product(variants, threads, delays))


def _own(name: str) -> Path:
    return ROOT / "build" / "venvs" / "peers" / name


_AS_IT_COMES = (Setting(),)
_TRITON = (*_grid([0, 2]), *(Setting(1, delay, starters.TWO_INSTANCES) for delay in (0, 2)))
# MLServer without batches answers one request after the other; as tensors, pictures become lists of Python numbers.
_MLSERVER = (*_grid([None, 2], ["bytes"]), Setting(1, None, "tensor"))

_FP32 = ("--engine", "onnxruntime", "--precision", "fp32")

OURS = Peer("ours", "", OWN_ENVIRONMENT, starters.ours(*_FP32), _AS_IT_COMES)
OURS_AUTO = Peer(
    "ours-auto", "", OWN_ENVIRONMENT, starters.ours("--engine", "auto", "--precision", "auto"), _AS_IT_COMES
)
# Where the front takes longer than the engine, as with a tiny network, one Python process is one core.
OURS_TWO = Peer("ours-2", "", OWN_ENVIRONMENT, starters.ours(*_FP32, "--processes", "2"), _AS_IT_COMES)
# Where the engine is the bottleneck, two runs beside each other wait less for a core that something else has.
OURS_INSTANCES = Peer("ours-instances", "", OWN_ENVIRONMENT, starters.ours(*_FP32, "--instances", "2"), _AS_IT_COMES)

PEERS = (
    OURS,
    OURS_AUTO,
    OURS_TWO,
    OURS_INSTANCES,
    Peer("plain", "grpcio", OWN_ENVIRONMENT, starters.script("plain"), _grid()),
    Peer("triton", "nvidia-pytriton", _own("triton"), starters.triton, _TRITON),
    Peer("mlserver", "mlserver", _own("mlserver"), starters.mlserver, _MLSERVER, variants={"bytes": BYTE_ELEMENTS}),
    Peer("bentoml", "bentoml", _own("bentoml"), starters.bentoml, _grid(), POSTS),
    Peer("litserve", "litserve", _own("litserve"), starters.script("lit"), _grid([0, 2]), POSTS),
    Peer("rayserve", "ray", _own("rayserve"), starters.script("rayserve"), _grid([0, 2])),
)
