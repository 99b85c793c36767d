"""What the bundles in service keep for people: how good they are, pictures to try them with, their report, their golden check.

curl -o sample.png http://localhost:8000/v1/models/pets/versions/1/samples/0
"""

import io
from http import HTTPStatus

from PIL import Image

from server.serving.bundles import Bundles, GoldenCheck, form_in_service
from server.serving.jobs import Version
from server.serving.models import ServedClassifier
from server.transport import versions
from server.transport.calls import Calls
from server.transport.http import replies
from server.transport.http.asgi import HttpError
from server.transport.http.operation import BYTES, JSON, OF_A_MODEL, PNG, Handler, Media, Operation, Reply, Request
from server.transport.http.v1_bundles_bodies import (
    BundleBody,
    FeatureMapBody,
    GoldenBody,
    SampleBody,
    SamplesBody,
)

_HTML = "text/html; charset=utf-8"
_VERSION = "/v1/models/{model}/versions/{version}"
# A report is one file with its styles and pictures in it; what else it might try, a browser refuses.
_REPORT_POLICY = b"sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class V1Bundles:
    """The operations on what bundles keep."""

    def __init__(self, bundles: Bundles, calls: Calls) -> None:
        self._bundles = bundles
        self._calls = calls

    def operations(self) -> list[Operation]:
        """All of them."""
        return [
            _operation("bundle", "/bundle", "What a bundle says of itself", self._bundle, {JSON: BundleBody}),
            _operation("samples", "/samples", "The pictures that a bundle keeps", self._samples, {JSON: SamplesBody}),
            _operation("sample", "/samples/{index}", "One of them, as the model sees it", self._sample, {PNG: BYTES}),
            _operation(
                "golden", "/golden", "Asks the golden pictures anew and compares", self._golden, {JSON: GoldenBody}
            ),
            _operation(
                "report", "/report", "The report of its forms, for a person", self._report, {"text/html": BYTES}
            ),
        ]

    async def _bundle(self, request: Request) -> Reply:
        name, version = _asked(request)
        with self._calls.counted("GetBundle", name, versions.to_count(request.path["version"]), request.id):
            checks = await self._bundles.checks(name, version)
            page = await self._bundles.report_page(name, version)
            model = self._bundles.classifier(name, version)
        manifest, form = model.manifest, form_in_service(model)
        body = BundleBody(
            name=model.name,
            version=model.version,
            preprocess=manifest.preprocess,
            feature_map=_feature_map(model),
            precisions=manifest.precisions,
            precision=form.name,
            minimum_top1_agreement=manifest.minimum_top1_agreement,
            checks=checks,
            has_report_page=page is not None,
        )
        return replies.json(body, compressible=True)

    async def _samples(self, request: Request) -> Reply:
        name, version = _asked(request)
        with self._calls.counted("ListSamples", name, versions.to_count(request.path["version"]), request.id):
            model, kept = await self._bundles.pictures(name, version)
        labels = model.manifest.labels
        told = [
            SampleBody(index, labels[label] if label >= 0 else None)
            for index, label in enumerate(kept.samples.labels.tolist())
        ]
        return replies.json(SamplesBody(kept.source, told), compressible=True)

    async def _sample(self, request: Request) -> Reply:
        name, version = _asked(request)
        with self._calls.counted("GetSample", name, versions.to_count(request.path["version"]), request.id):
            _, kept = await self._bundles.pictures(name, version)
        given, last = request.path["index"], len(kept.samples) - 1
        if not (given.isascii() and given.isdecimal() and int(given[:9]) <= last):
            raise HttpError(HTTPStatus.NOT_FOUND, f"no sample {given!r}; there are: 0 to {last}")
        pixels = kept.samples.pixels[int(given)]
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
        return Reply(file.getvalue(), PNG)

    async def _golden(self, request: Request) -> Reply:
        name, version = _asked(request)
        with self._calls.counted("CheckGolden", name, versions.to_count(request.path["version"]), request.id):
            found = await self._bundles.check_golden(name, version)
        return replies.json(_golden_body(found))

    async def _report(self, request: Request) -> Reply:
        name, version = _asked(request)
        with self._calls.counted("GetReport", name, versions.to_count(request.path["version"]), request.id):
            page = await self._bundles.report_page(name, version)
        if page is None:
            raise HttpError(
                HTTPStatus.NOT_FOUND,
                f"the bundle of {name!r} version {request.path['version']} has no report.html; "
                "`python -m exporter optimise` writes one",
            )
        return Reply(page, _HTML, headers=((b"content-security-policy", _REPORT_POLICY),), compressible=True)


def _operation(name: str, path: str, summary: str, handle: Handler, media: Media) -> Operation:
    return Operation(name, "GET", _VERSION + path, summary, handle, media, OF_A_MODEL)


def _asked(request: Request) -> tuple[str, Version]:
    return request.path["model"], versions.from_text(request.path["version"])


def _feature_map(model: ServedClassifier) -> FeatureMapBody:
    found = model.manifest.feature_map
    return FeatureMapBody(found.layer, found.height, found.width, *found.extent)


def _golden_body(found: GoldenCheck) -> GoldenBody:
    """JSON has no infinity, which a difference is where an answer is not a number."""
    return GoldenBody(
        passed=found.passed,
        pictures=found.pictures,
        probability_difference=_finite(found.probability_difference),
        probability_tolerance=found.probability_tolerance,
        heatmap_difference=_finite(found.heatmap_difference),
        heatmap_tolerance=found.heatmap_tolerance,
    )


def _finite(value: float) -> float | None:
    return None if value == float("inf") else value
