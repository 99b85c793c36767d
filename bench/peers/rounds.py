"""The measurements: each peer finds its best settings first, then all take turns, round after round.

The speed of a shared machine wanders by tens of percent in minutes, so a ratio is taken within a round, and what is told is the median
over the rounds.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.peers import limits, processes
from bench.peers.limits import Form, Limit
from bench.peers.peers import Peer
from bench.peers.running import PeerError, running
from bench.peers.starters import Setting
from bench.peers.workload import Workload

_LONGEST_TRIAL_SECONDS = 1.0
# How long an engine runs with one number of threads and one batch size: so much of the length of a load, and in seconds at least.
_LIMIT_SHARE, _SHORTEST_LIMIT_SECONDS = 0.1, 0.05
_LARGE_BATCHES = (8, 32)
_TRIAL = -1

Step = Callable[[str], None]
"""Told what is measured next."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    clients: Sequence[int]
    seconds: float
    rounds: int


@dataclass(frozen=True)
class Sample:
    """One peer under one load."""

    peer: str
    clients: int
    setting: Setting
    form: Form
    round: int  # from 0
    rate: float  # images a second
    p50: float  # seconds
    p99: float  # seconds
    cpu_seconds: float  # an image
    mean_batch: float


@dataclass(frozen=True)
class Start:
    """What a peer took before its first answer, and holds after its loads."""

    peer: str
    round: int
    seconds: float
    rss_mib: float
    pss_mib: float


@dataclass
class Measured:
    """Everything about one workload."""

    workload: Workload
    max_batch: int  # that the peers were allowed
    samples: list[Sample] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    limits: list[list[Limit]] = field(default_factory=list)  # of each round
    failures: dict[tuple[str, str], str] = field(default_factory=dict)  # by peer and setting: the first reason

    def fails(self, peer: Peer, setting: Setting, error: PeerError) -> None:
        """Keeps the reason for what is not in the table."""
        self.failures.setdefault((peer.name, setting.label), str(error))


def measure(workload: Workload, peers: Sequence[Peer], plan: Plan, step: Step) -> Measured:
    """Trials and rounds. A peer that fails is left out, with its reason."""
    first = _limits(workload, plan, step)
    measured = Measured(workload, _best_batch(first))
    winners = {peer.name: _trial(measured, peer, plan, step) for peer in peers}
    for number in range(plan.rounds):
        measured.limits.append(_limits(workload, plan, step))
        for peer in peers:
            for setting, clients in winners[peer.name]:
                measured.samples.extend(_samples(measured, peer, setting, clients, plan.seconds, number, step))
    return measured


def steps(peers: Sequence[Peer], plan: Plan) -> int:
    """At most how often `measure` calls its `step`."""
    return 1 + sum(len(peer.settings) for peer in peers) + plan.rounds * (1 + len(peers) * len(plan.clients))


def _limits(workload: Workload, plan: Plan, step: Step) -> list[Limit]:
    step("engines in process")
    seconds = max(_LIMIT_SHARE * plan.seconds, _SHORTEST_LIMIT_SECONDS)
    return [limit for form in workload.forms for limit in limits.measure(form, workload.pixels, seconds)]


def _best_batch(found: Sequence[Limit]) -> int:
    """What the peers' batches may grow to: the size at which ONNX Runtime is faster, as it goes down for large networks."""
    exact = [each for each in found if each.form == found[0].form and each.batch in _LARGE_BATCHES]
    return max(exact, key=lambda each: each.rate).batch


def _trial(measured: Measured, peer: Peer, plan: Plan, step: Step) -> list[tuple[Setting, list[int]]]:
    """The best settings of a peer, by a short load each."""
    seconds = min(plan.seconds, _LONGEST_TRIAL_SECONDS)
    if len(peer.settings) == 1:
        return [(peer.settings[0], list(plan.clients))]
    tried: list[Sample] = []
    for setting in peer.settings:
        tried.extend(_samples(measured, peer, setting, plan.clients, seconds, _TRIAL, step))
    return best_settings(tried)


def best_settings(tried: Sequence[Sample]) -> list[tuple[Setting, list[int]]]:
    """The settings that are the fastest for some numbers of clients, each with these."""
    winners: dict[Setting, list[int]] = {}
    for clients in sorted({sample.clients for sample in tried}):
        found = [sample for sample in tried if sample.clients == clients]
        winners.setdefault(max(found, key=lambda sample: sample.rate).setting, []).append(clients)
    return list(winners.items())


def _samples(
    measured: Measured, peer: Peer, setting: Setting, clients: Sequence[int], seconds: float, number: int, step: Step
) -> Iterator[Sample]:
    """Starts the peer and loads it from each number of clients."""
    step(f"{peer.name} {setting.label}")
    try:
        with running(peer, measured.workload, setting, measured.max_batch) as server:
            for count in clients:
                load, mean_batch = server.load(count, seconds)
                p50, p99 = np.percentile(load.latencies, (50, 99))
                cpu = load.metered / len(load.latencies)
                yield Sample(
                    peer.name, count, setting, server.form, number, load.rate, float(p50), float(p99), cpu, mean_batch
                )
            rss, pss = processes.memory(server.tree.processes())
            measured.starts.append(Start(peer.name, number, server.start_seconds, rss, pss))
    except PeerError as error:
        measured.fails(peer, setting, error)
