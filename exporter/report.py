"""report.json: every check that an export had to pass, with what was measured, and how the forms of the model compare."""

from pathlib import Path
from typing import Literal

import msgspec

from bundle import strict
from bundle.manifest import REPORT, Correlation, Fraction, NotNegative, Positive, PrecisionName


class Check(strict.Document, frozen=True):
    """One figure against its limit; a NaN never passes."""

    name: str
    compared: str  # what with what, on how much
    measured: float
    rule: Literal["at most", "at least"]
    limit: float
    passed: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.measured:.3g}, must be {self.rule} {self.limit:g} ({self.compared})"


class Report(strict.Document, frozen=True):
    """The whole of report.json."""

    schema: Literal["seethrough.report/1"]
    samples: int  # held-out pictures that the answers were compared on
    checks: list[Check]


class Distance(strict.Document, frozen=True):
    """How far a form's answers are from those of fp32 on ONNX Runtime."""

    top1_agreement: Fraction
    max_probability_difference: Fraction
    mean_probability_difference: Fraction
    heatmap_correlation: Correlation  # mean, of the class that fp32 ranks first


class Measured(strict.Document, frozen=True):
    """One form of the model on one engine."""

    precision: PrecisionName
    engine: Literal["onnxruntime", "openvino"]
    distance: Distance
    accuracy: Fraction | None  # on the pictures with a label; None where there are none, or several may be right
    golden_probabilities: NotNegative  # largest difference from the trained model's answers, on the golden samples
    golden_heatmaps: NotNegative
    images_per_second: dict[str, float]  # plain predictions, by batch size; empty when not measured


class Machine(strict.Document, frozen=True):
    """What speed was measured on."""

    processor: str
    cores: Positive  # that one batch was computed on
    libraries: dict[str, str]


class Ladder(strict.Document, frozen=True):
    """The whole of report.json of a version that `optimise` made."""

    schema: Literal["seethrough.ladder/1"]
    optimised_from: str
    checks: list[Check]  # of the export
    form_checks: list[Check]
    calibrated_on: str  # in words
    measured_on: str
    samples: Positive  # pictures that it was measured on
    minimum_top1_agreement: Fraction
    machine: Machine
    file_bytes: dict[PrecisionName, int]
    forms: list[Measured]
    left_out: list[str]  # what could not be made or measured here, with the reason

    def trusts(self, form: Measured) -> bool:
        """Whether a server may choose `form` by itself."""
        return form.distance.top1_agreement >= self.minimum_top1_agreement


class _ChecksOnly(msgspec.Struct):
    checks: list[Check]


def read_checks(folder: Path) -> list[Check]:
    """What the export checked, from report.json of the bundle in `folder`, also of an optimised one. Raises BundleError."""
    return strict.read(folder / REPORT, _ChecksOnly).checks


def at_most(limit: float, measured: float, name: str, compared: str) -> Check:
    """A check that `measured` does not exceed `limit`."""
    return Check(name=name, compared=compared, measured=measured, rule="at most", limit=limit, passed=measured <= limit)


def at_least(limit: float, measured: float, name: str, compared: str) -> Check:
    """A check that `measured` reaches `limit`."""
    return Check(
        name=name, compared=compared, measured=measured, rule="at least", limit=limit, passed=measured >= limit
    )


def none_of(problems: list[str], name: str, compared: str) -> Check:
    """A check that there are no `problems`; they are told when there are."""
    told = "; ".join([compared, *problems])
    return at_most(0, len(problems), name, told)
