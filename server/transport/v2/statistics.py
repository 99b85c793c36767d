"""What each version has done since the server started, in the terms of Triton's statistics extension.

What travelled together is one request: the rows of a tensor, or one encoded picture, which is decoded and queued by itself whatever
call it came with. Decoding is Triton's `compute_input`, drawing heatmaps its `compute_output`.
"""

from dataclasses import dataclass, field

from server.tally import VersionTally


@dataclass
class Duration:
    """How often, and how many nanoseconds together."""

    count: int = 0
    nanoseconds: int = 0


@dataclass
class VersionStatistics:
    """Of one version. `batches` has the engine's runs by how many items they had; `last_inference_ms` is Unix time."""

    name: str
    version: str
    last_inference_ms: int = 0
    inferences: int = 0
    executions: int = 0
    failed: int = 0
    success: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    batches: dict[int, Duration] = field(default_factory=dict)


def statistics(of: VersionTally) -> VersionStatistics:
    """The statistics of a version."""
    ran = of.runs.copy()  # the engine's thread may add a size meanwhile
    decode, queue, infer, render, total = (Duration(of.answers, _ns(seconds)) for seconds in of.answer_seconds)
    return VersionStatistics(
        name=of.model,
        version=of.version,
        last_inference_ms=round(of.last_answer * 1000),
        inferences=of.images["ok"],
        executions=sum(runs.count for runs in ran.values()),
        failed=sum(count for outcome, count in of.images.items() if outcome != "ok"),
        success=total,
        queue=queue,
        compute_input=decode,
        compute_infer=infer,
        compute_output=render,
        batches={rows: Duration(runs.count, _ns(runs.seconds)) for rows, runs in ran.items()},
    )


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
