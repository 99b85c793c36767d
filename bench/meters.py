"""What a running server says of itself and what the system says of it: processor time, memory, batches, what runs a model."""

import urllib.request
from dataclasses import dataclass

import psutil
from prometheus_client.parser import text_string_to_metric_families

MB = 1_000_000


@dataclass(frozen=True)
class Memory:
    """In bytes. What processes share counts in the `resident` of each, and in parts in their `proportional`."""

    resident: int
    proportional: int


@dataclass(frozen=True)
class Batches:
    """Runs of the engine since the start, and the images in them."""

    images: float
    runs: float

    def mean_since(self, before: "Batches") -> float:
        """The mean number of images in a run since `before`. Raises RuntimeError when there was none."""
        if self.runs == before.runs:
            raise RuntimeError("the server counted no run of the engine under load")
        return (self.images - before.images) / (self.runs - before.runs)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of those that it has started."""
    times = [each.cpu_times() for each in _family(pid)]
    return sum(each.user + each.system for each in times)


def memory(pid: int) -> Memory:
    """Memory of a process and of those that it has started."""
    found = [each.memory_full_info() for each in _family(pid)]
    return Memory(sum(each.rss for each in found), sum(each.pss for each in found))


def _family(pid: int) -> list[psutil.Process]:
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def batches(http: str, model: str, version: str) -> Batches:
    """Of a version in service, from the metrics page at `http`, HOST:PORT."""
    found = {name: value for name, labels, value in _page(http) if labels == {"model": model, "version": version}}
    name = "seethrough_batch_images"
    return Batches(found.get(f"{name}_sum", 0.0), found.get(f"{name}_count", 0.0))


def runs_on(http: str, model: str, version: str) -> str:
    """Engine, precision and device of a version in service, "onnxruntime fp32 cpu". Raises RuntimeError when it is not."""
    for name, labels, value in _page(http):
        if name == "seethrough_model_info" and value and (labels["model"], labels["version"]) == (model, version):
            return f"{labels['engine']} {labels['precision']} {labels['device']}"
    raise RuntimeError(f"{model} version {version} is not in service; the server's log says why")


def _page(http: str) -> list[tuple[str, dict[str, str], float]]:
    with urllib.request.urlopen(f"http://{http}/metrics") as response:
        families = text_string_to_metric_families(response.read().decode())
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]
