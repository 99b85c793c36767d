"""report.html: the figures of report.json for a person, with pictures. One file that needs nothing else, neither network nor scripts."""

from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources
from string import Template

import numpy as np

from exporter import parity
from exporter.optimise import measure, overlays, plot
from exporter.optimise.forms import EXACT
from exporter.optimise.measure import Running, Subject
from exporter.report import Ladder, Measured

_EXAMPLES = 6
_HEADINGS = (
    "precision", "engine", "size", "top-1 agreement", "max Δp", "mean Δp", "heatmap correlation", "accuracy",
    "images/s<br>at&nbsp;1", "<br>at&nbsp;8", "<br>at&nbsp;32",
)  # fmt: skip
_UNTRUSTED = " †"


def render(ladder: Ladder, subject: Subject, running: Sequence[Running]) -> str:
    """The page; the first of `running` is the reference."""
    template = Template((resources.files("exporter") / "data" / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(f"{ladder.optimised_from} in fewer bits"),
        summary=escape(_summary(ladder)),
        plot=plot.draw(ladder),
        head="".join(f"<th>{heading}</th>" for heading in _HEADINGS),
        rows="\n".join(_row(form, ladder) for form in ladder.forms),
        left_out="".join(f"<li>{escape(reason)}</li>" for reason in ladder.left_out),
        examples="\n".join(_examples(subject, running)),
        measured_on=escape(ladder.measured_on),
        calibrated_on=escape(ladder.calibrated_on),
        threshold=f"{ladder.minimum_top1_agreement:.1%}",
        machine=escape(f"{ladder.machine.processor}, {ladder.machine.cores} cores"),
        libraries=escape(", ".join(f"{name} {version}" for name, version in ladder.machine.libraries.items())),
        checks="\n".join(
            f"<tr><td>{escape(check.name)}</td><td>{check.measured:.3g}</td><td>{check.rule} {check.limit:g}</td>"
            f"<td>{escape(check.compared)}</td></tr>"
            for check in (*ladder.checks, *ladder.form_checks)
        ),
        check_count=len(ladder.checks) + len(ladder.form_checks),
    )


def _summary(ladder: Ladder) -> str:
    """The fastest form that may be chosen by itself, beside the fastest fp32."""
    size = "8"
    timed = [form for form in ladder.forms if form.images_per_second and ladder.trusts(form)]
    best = max(timed, key=lambda form: form.images_per_second[size])
    exact = max(form.images_per_second[size] for form in timed if form.precision == EXACT)
    told = f"{best.images_per_second[size]:,.0f} images/s in batches of {size}"
    if best.precision == EXACT:
        return f"On this machine fp32 is the fastest form that agrees often enough: {told}, on {plot.ENGINES[best.engine]}."
    return (
        f"On this machine {best.precision} on {plot.ENGINES[best.engine]} is the fastest form that agrees often enough: {told}, "
        f"{best.images_per_second[size] / exact:.2f} times the fastest fp32."
    )


def _row(form: Measured, ladder: Ladder) -> str:
    speeds = [f"{speed:,.0f}" for speed in form.images_per_second.values()] or ["–"] * len(measure.BATCHES)
    cells = (
        form.precision,
        plot.ENGINES[form.engine],
        f"{ladder.file_bytes[form.precision] / 1e6:,.2f} MB",
        f"{form.distance.top1_agreement:.2%}" + ("" if ladder.trusts(form) else _UNTRUSTED),
        f"{form.distance.max_probability_difference:.4f}",
        f"{form.distance.mean_probability_difference:.5f}",
        f"{form.distance.heatmap_correlation:.4f}",
        "–" if form.accuracy is None else f"{form.accuracy:.2%}",
        *speeds,
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _examples(subject: Subject, running: Sequence[Running]) -> Iterator[str]:
    """Pictures under the heatmaps of fp32 and of the form in the fewest bits, from the least alike to the median."""
    reference = running[0]
    other = next((each for each in running if each.form.precision != EXACT), None)
    if other is None:
        return
    pairs = zip(other.answers[1], reference.answers[1], strict=True)
    alike = np.array([parity.correlation(found, expected) for found, expected in pairs])
    order = np.argsort(alike, kind="stable")
    for place in np.unique(np.linspace(0, (len(order) - 1) // 2, _EXAMPLES).astype(int)):
        yield _example(int(order[place]), float(alike[order[place]]), subject, reference, other)


def _example(index: int, alike: float, subject: Subject, reference: Running, other: Running) -> str:
    pixels, extent = subject.evaluation.pixels[index], subject.manifest.feature_map.extent
    label = int(reference.answers[0][index].argmax())
    tiles = [(overlays.plain(pixels), escape(subject.manifest.labels[label]))]
    for each in (reference, other):
        address = overlays.overlaid(pixels, each.answers[1][index, 0], extent)
        tiles.append((address, f"{each.form.precision}: {each.answers[0][index, label]:.3f}"))
    images = "".join(
        f'<figure><img src="{address}" alt="{told}"><figcaption>{told}</figcaption></figure>' for address, told in tiles
    )
    return f'<div class="example"><div class="tiles">{images}</div><p>correlation {alike:.4f}</p></div>'
