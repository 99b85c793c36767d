"""From Prometheus' families to plain data and back, for a page of several processes (`server.families` says why)."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from server.families import Family, Sample


def plain(metrics: Iterable[Metric]) -> list[Family]:
    """The families of this process, as the registry collects them."""
    return [
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            tuple(Sample(sample.name, sample.labels, float(sample.value)) for sample in metric.samples),
        )
        for metric in metrics
    ]


def page(families: Sequence[Family]) -> tuple[bytes, str]:
    """The page and its content type."""
    registry = CollectorRegistry()
    registry.register(_Given(families))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Given(Collector):
    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        for family in self._families:
            metric = Metric(family.name, family.help, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, sample.labels, sample.value)
            yield metric
