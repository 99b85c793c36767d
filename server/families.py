"""What one process counts, as plain data that another process can add its own to.

A page of metrics of several processes is the sum of theirs. Counters and histograms are sums over all processes that there have
been, those that have ended included, so that a restart never makes one go back; gauges are of the processes that there are now, and
the table below says how several become one. No Prometheus here: families travel as JSON, and only the process that was asked for the
page writes it.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

Labels = dict[str, str]
_Key = tuple[str, tuple[tuple[str, str], ...]]


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One figure. `name` is the family's, or with what the format adds to it: _total, _bucket, _sum, _count, _created."""

    name: str
    labels: Labels
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """All figures of one name. `kind` is one of Prometheus: counter, histogram, gauge, info."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample]


# How the gauges of several processes become one.
GAUGES: dict[str, Callable[[float, float], float]] = {
    # Each process has its own images in work and its own queues: together they are what the server has.
    "seethrough_inflight_images": float.__add__,
    "seethrough_queue_images": float.__add__,
    # 1 or absent, of the same models in all of them: a sum would count processes.
    "seethrough_model_info": max,
    "seethrough_model_state": max,
    "seethrough_model_label": max,
    "seethrough_roles_refused": max,
    # They read the same file, some sooner than others.
    "seethrough_certificate_expiry_timestamp_seconds": min,
    # The same devices, seen by all.
    "seethrough_gpu_memory_used_bytes": max,
    "seethrough_gpu_memory_total_bytes": max,
    # What they take from the machine. Memory that they share (libraries, weights mapped from a file) is counted in each.
    "process_resident_memory_bytes": float.__add__,
    "process_virtual_memory_bytes": float.__add__,
    "process_open_fds": float.__add__,
    # The limits add up as what is limited does: open over most stays a share.
    "process_max_fds": float.__add__,
    # The server runs since its oldest process does.
    "process_start_time_seconds": min,
    "python_info": max,
}
_CUMULATIVE = ("counter", "histogram")


def merged(pages: Iterable[Sequence[Family]]) -> list[Family]:
    """The families of several processes as those of one, in the order in which they first appear."""
    together: dict[str, tuple[Family, dict[_Key, Sample]]] = {}
    for family in (family for page in pages for family in page):
        _, samples = together.setdefault(family.name, (family, {}))
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            known = samples.get(key)
            samples[key] = sample if known is None else _joined(family, known, sample)
    return [Family(first.name, first.kind, first.help, tuple(samples.values())) for first, samples in together.values()]


def cumulative(page: Sequence[Family]) -> list[Family]:
    """What of a process's figures outlives it."""
    return [family for family in page if family.kind in _CUMULATIVE]


def gauge(name: str, text: str, value: float) -> Family:
    """A family of one figure without labels."""
    return Family(name, "gauge", text, (Sample(name, {}, value),))


def counter(name: str, text: str, value: float) -> Family:
    """A counter without labels; `name` is without the `_total` that its figure has."""
    return Family(name, "counter", text, (Sample(f"{name}_total", {}, value),))


def _joined(family: Family, one: Sample, other: Sample) -> Sample:
    join: Callable[[float, float], float] = float.__add__
    if one.name == f"{family.name}_created":
        join = min  # when counting began, Unix time
    elif family.kind not in _CUMULATIVE:
        join = GAUGES.get(family.name, float.__add__)
    return Sample(one.name, one.labels, join(float(one.value), float(other.value)))
