"""Tables of what has been measured."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.peers.limits import Form, Limit
from bench.peers.peers import OURS, Peer
from bench.peers.rounds import Measured, Plan, Sample, Start
from bench.tables import Results

_VOID = "void"


def tables(measured: Measured, peers: Sequence[Peer], plan: Plan, picture: Path | None) -> list[Results]:
    """All of one workload; `picture` lies beside the file that they will be written to."""
    found = [_loads(measured, peers, plan, clients) for clients in plan.clients]
    if picture:
        found[0] = replace(found[0], plot=picture.name)
    return [*found, _footprints(measured, peers), _limits(measured, peers)]


def _loads(measured: Measured, peers: Sequence[Peer], plan: Plan, clients: int) -> Results:
    columns = ("server", "best setting", "images/s", "x ours", "p50 ms", "p99 ms", "batch", "CPU ms", "engine's", "x")
    rows = []
    for peer in peers:
        if samples := complete(measured, peer, clients, plan):
            rows.append(_row(measured, samples, complete(measured, OURS, clients, plan)))
        else:
            rows.append([peer.name, _VOID, *[""] * (len(columns) - 2)])
    word = "client" if clients == 1 else "clients"
    return Results(f"{_title(measured)}: {clients} {word}, medians of {plan.rounds} rounds", columns, rows)


def complete(measured: Measured, peer: Peer, clients: int, plan: Plan) -> list[Sample]:
    """The samples of a peer, one for each round; none when it has failed in any."""
    found = [each for each in measured.samples if (each.peer, each.clients) == (peer.name, clients)]
    return found if len(found) == plan.rounds else []


def _row(measured: Measured, samples: Sequence[Sample], ours: Sequence[Sample]) -> list[str]:
    def middle(value: Callable[[Sample], float]) -> float:
        return float(np.median([value(each) for each in samples]))

    base = {each.round: each.rate for each in ours}
    ratios = [each.rate / base[each.round] for each in samples if each.round in base]
    runs = " / ".join(sorted({each.form.label for each in samples}))  # a server that chooses may choose again
    alone = [fastest(measured.limits[each.round], each.form).cpu_seconds for each in samples]
    cpu = [each.cpu_seconds for each in samples]
    return [
        samples[0].peer,
        samples[0].setting.label or runs,
        _number(middle(lambda each: each.rate)),
        f"{np.median(ratios):.2f}" if ratios else "",
        f"{1e3 * middle(lambda each: each.p50):.2f}",
        f"{1e3 * middle(lambda each: each.p99):.2f}",
        f"{middle(lambda each: each.mean_batch):.1f}",
        f"{1e3 * np.median(cpu):.3f}",
        f"{1e3 * np.median(alone):.3f}",
        f"{np.median(np.divide(cpu, alone)):.2f}",
    ]


def _number(value: float) -> str:
    """With three figures at least."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def fastest(found: Sequence[Limit], form: Form) -> Limit:
    """The number of threads and batch size at which an engine by itself gets the most images through."""
    return max((each for each in found if each.form == form), key=lambda each: each.rate)


def _footprints(measured: Measured, peers: Sequence[Peer]) -> Results:
    columns = ("server", "version", "start to first answer, s", "RSS MiB", "PSS MiB")
    rows = []
    for peer in peers:
        starts = [each for each in measured.starts if each.peer == peer.name]
        version = "" if peer.is_ours else f"{peer.package} {peer.version}"
        rows.append([peer.name, version, *(_medians(starts) if starts else (_VOID, "", ""))])
    notes = [
        "Memory of all processes of a server after the loads; PSS counts what several share once, RSS for each of them.",
        *(f"{name} ({setting or 'as it comes'}): {why}" for (name, setting), why in measured.failures.items()),
    ]
    return Results(f"{_title(measured)}: start and memory, medians", columns, rows, notes)


def _medians(starts: Sequence[Start]) -> tuple[str, str, str]:
    seconds = np.median([each.seconds for each in starts])
    rss, pss = (np.median([getattr(each, name) for each in starts]) for name in ("rss_mib", "pss_mib"))
    return f"{seconds:.1f}", f"{rss:.0f}", f"{pss:.0f}"


def _limits(measured: Measured, peers: Sequence[Peer]) -> Results:
    columns = ("engine in process", "threads", "batch", "images/s", "CPU ms/image")
    rows = []
    for same in zip(*measured.limits, strict=True):
        rate, cpu = (np.median([getattr(each, name) for each in same]) for name in ("rate", "cpu_seconds"))
        rows.append(
            [same[0].form.label, str(same[0].threads), str(same[0].batch), _number(float(rate)), f"{1e3 * cpu:.3f}"]
        )
    tried = "; ".join(
        f"{peer.name}: {' | '.join(each.label for each in peer.settings)}" for peer in peers if len(peer.settings) > 1
    )
    notes = (
        "In the tables above, batch is the mean number of images in a run of the engine; CPU the time of all processes of the server, an "
        "image; engine's that of the row here with the most images/s of the same engine and precision, in the same round; x how many "
        "times that the server takes. Our server is as it comes, and a peer counts at its best setting for that many clients. "
        f"Their batches may grow to {measured.max_batch}, the better of two for ONNX Runtime; tried were {tried or 'none'}.",
    )
    return Results(f"{_title(measured)}: the engines alone", columns, rows, notes)


def _title(measured: Measured) -> str:
    shape = "x".join(map(str, measured.workload.shape))
    return f"{measured.workload.name} {measured.workload.bundle.name} ({shape})"
