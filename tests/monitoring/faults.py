"""Faults to inject, each with the alerts that it must bring: entered, it is there; left, it has been repaired."""

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import psutil

from tests.bundles import make_bundle
from tests.monitoring.observatory import until
from tests.monitoring.site import ROLES, Site, requests

_SHADOW = "[shadow]\nversion = 2\nshare = 1.0\n"


@dataclass(frozen=True)
class Fault:
    """What is done to a site."""

    what: str
    alerts: tuple[str, ...]
    done_to: Callable[[Site], AbstractContextManager[None]]


@contextmanager
def _bad_version(site: Site) -> Iterator[None]:
    made = make_bundle(site.folder / "made/bad", seed=1)
    graph = made / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    made.rename(site.model / "2")
    yield
    shutil.rmtree(site.model / "2")


@contextmanager
def _bad_roles(site: Site) -> Iterator[None]:
    site.roles("[labels]\nstable = 'the best'\n")
    yield
    site.roles(ROLES)


@contextmanager
def _another_model_in_the_shadow(site: Site) -> Iterator[None]:
    make_bundle(site.folder / "made/other", seed=1).rename(site.model / "2")
    site.roles(ROLES + _SHADOW)
    yield
    site.roles(ROLES)
    shutil.rmtree(site.model / "2")


@contextmanager
def _broken_engine(site: Site) -> Iterator[None]:
    with site.replaced(faults={"raise": 1.0}):
        yield


@contextmanager
def _too_slow(site: Site) -> Iterator[None]:
    """40 images a second at most, and twice as many come."""
    with site.replaced("--max-batch", "2", faults={"slow": 1.0}):
        yield


@contextmanager
def _killed_processes(site: Site) -> Iterator[None]:
    with site.replaced("--processes", "2", "--threads", "1") as server:
        supervisor = psutil.Process(server.process.pid)
        processes = len(supervisor.children())
        for _ in range(3):
            victim = supervisor.children()[-1]
            victim.kill()
            victim.wait(10)
            until(lambda: len(supervisor.children()) == processes, 60, "another process in its place")
        yield


@contextmanager
def _stopped(site: Site) -> Iterator[None]:
    site.server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        site.server.process.send_signal(signal.SIGCONT)


@contextmanager
def _expired_certificate(site: Site) -> Iterator[None]:
    site.certify(expired=True)
    yield
    site.certify(expired=False)


@contextmanager
def _no_calls(site: Site) -> Iterator[None]:
    site.traffic.is_on = False
    yield
    site.traffic.is_on = True


@contextmanager
def _other_pictures(site: Site) -> Iterator[None]:
    usual = site.traffic.requests
    site.traffic.requests = requests(brightest=20)
    yield
    site.traffic.requests = usual


# In this order the whole takes the least time: what compares with the past comes when there is one.
FAULTS = (
    Fault("a version with a wrong checksum is copied in", ("SeethroughVersionRefused",), _bad_version),
    Fault("versions.toml with an error", ("SeethroughRolesRefused",), _bad_roles),
    Fault("another model in the shadow", ("SeethroughCanaryDisagrees",), _another_model_in_the_shadow),
    Fault("an expired certificate", ("SeethroughCertificateExpires",), _expired_certificate),
    Fault("no calls", ("SeethroughNoTraffic",), _no_calls),
    Fault("the server stopped (SIGSTOP)", ("SeethroughTargetDown", "SeethroughDown"), _stopped),
    Fault(
        "an engine that always raises",
        (
            "SeethroughEngineFault",
            "SeethroughModelFailing",
            "SeethroughErrorBudgetBurn 1h",
            "SeethroughErrorBudgetBurn 6h",
            "SeethroughErrorBudgetBurn 3d",
        ),
        _broken_engine,
    ),
    Fault(
        "twice as many images as the engine can do",
        ("SeethroughQueueGrowing", "SeethroughLatencyHigh", "SeethroughShedding"),
        _too_slow,
    ),
    Fault("serving processes killed, three times", ("SeethroughRestarts",), _killed_processes),
    Fault("other pictures", ("SeethroughConfidenceShift",), _other_pictures),
)
