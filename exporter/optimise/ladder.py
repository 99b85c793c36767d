"""The steps from a bundle to a new version that has the model in more precisions.

What the export wrote is carried over byte for byte, golden samples included. Like an export, the new folder appears under its name
only when everything in it has been measured as it lies on disk.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bundle import files, golden, strict
from bundle.manifest import REPORT, REPORT_PAGE, Manifest, Precision, PrecisionName
from exporter.bundling import TOLERANCE
from exporter.errors import ExportError, FailedChecksError
from exporter.optimise import forms, measure, page, pictures, record
from exporter.optimise.forms import EXACT, Form, LeftOutError
from exporter.optimise.measure import Running, Subject
from exporter.optimise.pictures import Wanted
from exporter.report import Check, Ladder, Measured, at_most

Step = Callable[[str], None]


def steps(wanted: Sequence[PrecisionName]) -> list[str]:
    """The names of the steps, in order, for a person who waits."""
    made = [f"{verb} {precision}" for precision in wanted for verb in ("make", "measure")]
    return ["verify the bundle", "read the pictures", "measure fp32", *made, "measure speed", "write the report"]


def optimise(
    source: Path, out: Path, wanted: Sequence[PrecisionName], where: Wanted, step: Step
) -> tuple[Ladder, list[str]]:
    """Makes version `out` of the bundle `source` with the precisions `wanted` beside fp32; `step` tells each of `steps`.

    Returns the report, and which files were no pictures and why. Raises FileExistsError when `out` is there already,
    BundleError for a damaged bundle or one without images, and ExportError; nothing is left of `out` then.
    """
    step("verify the bundle")
    manifest = files.verify_classifier(source)
    exact = _exact(source, manifest)
    step("read the pictures")
    chosen = pictures.choose(source, manifest, where)
    with files.atomic_folder(out) as folder:
        _carry_over(source, manifest, exact, folder)
        subject = Subject(folder, manifest, golden.read(folder, manifest), chosen.evaluation)
        running, left_out = _run_all(subject, forms.exact(exact), wanted, chosen, step)
        step("measure speed")
        measured = measure.all_of(subject, running)
        checks = _checks(subject, running, measured)
        step("write the report")
        made = record.Made(source, folder, manifest, exact, chosen, running, measured)
        ladder = record.ladder(made, checks, left_out)
        strict.write(folder / REPORT, ladder)
        (folder / REPORT_PAGE).write_text(page.render(ladder, subject, running), encoding="utf-8")
        files.seal(folder, record.manifest(made, ladder))
        files.verify(folder)
    return ladder, chosen.skipped


def _exact(source: Path, manifest: Manifest) -> Precision:
    found = next((form for form in manifest.precisions if form.name == EXACT), None)
    if found is None:
        raise ExportError(f"{source}: has no fp32 form, from which the others are made and by which they are measured")
    return found


def _carry_over(source: Path, manifest: Manifest, exact: Precision, folder: Path) -> None:
    """Copies what belongs to fp32; forms that an earlier `optimise` made are made anew."""
    own = {Path(form.file).parent for form in manifest.precisions} - {Path(exact.file).parent}
    for name in manifest.files:
        if name != REPORT_PAGE and Path(name).parent not in own:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, folder / name)


def _run_all(
    subject: Subject, exact: Form, wanted: Sequence[PrecisionName], chosen: pictures.Chosen, step: Step
) -> tuple[list[Running], list[str]]:
    """Every form on every engine that can run it here, fp32 on ONNX Runtime first; and why others are not among them."""
    step("measure fp32")
    left_out: list[str] = []
    running = list(_on_engines(subject, exact, None, left_out))
    if not running or running[0].engine != "onnxruntime":
        raise ExportError("; ".join(left_out))
    reference = running[0]
    for precision in wanted:
        step(f"make {precision}")
        try:
            form = forms.make(precision, subject.folder, exact, chosen.calibration)
        except LeftOutError as reason:
            left_out.append(str(reason))
            continue
        step(f"measure {precision}")
        found = list(_on_engines(subject, form, reference, left_out))
        if not found:
            shutil.rmtree(subject.folder / precision, ignore_errors=True)
        running += found
    return running, left_out


def _on_engines(subject: Subject, form: Form, reference: Running | None, left_out: list[str]) -> Iterator[Running]:
    """`form` on each engine that can run it here; the reasons why others cannot are added to `left_out`."""
    for engine in form.engines:
        try:
            yield measure.run(subject, form, engine, reference)
        except LeftOutError as reason:
            left_out.append(str(reason))


def _checks(subject: Subject, running: Sequence[Running], measured: Sequence[Measured]) -> list[Check]:
    """Whether both graphs of each form answer alike: no further from each other than the form is from fp32.

    They have the same numbers in them, but an engine may fuse operators in one and not in the other, and round elsewhere.
    """
    checks = []
    for each, figures in zip(running, measured, strict=True):
        limit = TOLERANCE.probabilities + figures.distance.max_probability_difference
        difference = measure.plain_difference(each.compiled, each.answers[0], subject.evaluation.pixels)
        name = f"{each.form.precision} on {each.engine}: both graphs"
        told = f"{each.form.predict_file} with {each.form.file}, {len(subject.evaluation)} samples"
        checks.append(at_most(limit, difference, name, told))
    failed = [check for check in checks if not check.passed]
    if failed:
        raise FailedChecksError(failed, len(checks))
    return checks
