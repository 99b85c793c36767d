"""What was measured, written down: report.json, and the manifest by which the server chooses.

A form is written down with the worse of its figures where several engines run it, but with the speed of the fastest.

The tolerance of the golden check. fp32 must give the trained model's answers at load on any machine, within rounding. A form in fewer bits
cannot, and its differences depend on where rounding falls: on the order of sums, on whether a processor fuses multiplying and adding.
It may therefore differ from the golden answers by twice what it differed by here, on the worse engine, and what fp32 may beside
that. Another model, or a form that saturates, misses that by far as long as the differences are small; a form with large ones can
be checked less, which is one reason to look at its agreement first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bundle.manifest import REPORT, Manifest, Precision, Tolerance
from exporter import report
from exporter.bundling import TOLERANCE
from exporter.optimise import machine
from exporter.optimise.forms import EXACT, Form
from exporter.optimise.measure import Running
from exporter.optimise.pictures import Chosen
from exporter.report import Check, Ladder, Measured

_HEADROOM = 2


@dataclass(frozen=True)
class Made:
    """A bundle in more precisions, before it is written down."""

    source: Path
    folder: Path  # of the new version
    manifest: Manifest  # of the source
    exact: Precision
    chosen: Chosen
    running: Sequence[Running]
    measured: Sequence[Measured]  # of each of `running`

    @property
    def forms(self) -> list[Form]:
        """The forms that were made, each once."""
        return list({each.form.precision: each.form for each in self.running}.values())


def tolerance(measured: Sequence[Measured]) -> Tolerance:
    """What a form may differ by from the golden answers, given what it differed by here."""
    worst = [max(getattr(each, name) for each in measured) for name in ("golden_probabilities", "golden_heatmaps")]
    return Tolerance(
        probabilities=min(1.0, TOLERANCE.probabilities + _HEADROOM * worst[0]),
        heatmaps=min(1.0, TOLERANCE.heatmaps + _HEADROOM * worst[1]),
    )


def ladder(made: Made, checks: list[Check], left_out: list[str]) -> Ladder:
    """The report; `checks` are those of the forms. Raises BundleError when the export's cannot be read."""
    return Ladder(
        schema="seethrough.ladder/1",
        optimised_from=_name(made.source),
        checks=report.read_checks(made.source) if REPORT in made.manifest.files else [],
        form_checks=checks,
        calibrated_on=made.chosen.calibrated_on,
        measured_on=made.chosen.measured_on,
        samples=len(made.chosen.evaluation),
        minimum_top1_agreement=made.manifest.minimum_top1_agreement,
        machine=machine.describe(),
        file_bytes={form.precision: _bytes(made.folder, form) for form in made.forms},
        forms=list(made.measured),
        left_out=left_out,
    )


def manifest(made: Made, ladder: Ladder) -> Manifest:
    """The manifest of the new version, without checksums until it is sealed."""
    provenance = msgspec.structs.replace(
        made.manifest.provenance,
        details={
            **made.manifest.provenance.details,
            "optimised_from": ladder.optimised_from,
            "calibrated_on": ladder.calibrated_on,
            "measured_on": ladder.measured_on,
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries={**made.manifest.provenance.libraries, **ladder.machine.libraries},
    )
    precisions = [_precision(made, form) for form in made.forms]
    files = {name: "" for form in precisions for name in (form.file, form.predict_file)}
    return msgspec.structs.replace(made.manifest, precisions=precisions, provenance=provenance, files=files)


def _precision(made: Made, form: Form) -> Precision:
    measured = [each for each in made.measured if each.precision == form.precision]
    fastest = _fastest(measured)
    if form.precision == EXACT:
        return msgspec.structs.replace(made.exact, images_per_second=fastest)
    return Precision(
        name=form.precision,
        engine="any" if len(measured) > 1 else measured[0].engine,
        file=form.file,
        predict_file=form.predict_file,
        samples=len(made.chosen.evaluation),
        top1_agreement=min(each.distance.top1_agreement for each in measured),
        max_probability_difference=max(each.distance.max_probability_difference for each in measured),
        heatmap_correlation=min(each.distance.heatmap_correlation for each in measured),
        tolerance=tolerance(measured),
        images_per_second=fastest,
    )


def _fastest(measured: Sequence[Measured]) -> dict[str, float]:
    sizes = measured[0].images_per_second
    return {size: max(each.images_per_second[size] for each in measured) for size in sizes}


def _bytes(folder: Path, form: Form) -> int:
    """Size of the form's graphs and of the weights beside them."""
    beside = (folder / form.file).parent
    return sum(path.stat().st_size for path in beside.iterdir() if path.suffix in (".onnx", ".bin"))


def _name(source: Path) -> str:
    """model/version."""
    return "/".join(source.resolve().parts[-2:])
