"""Compares resources of operators with models of their CRDs; run by the Python of `make deploy`, which has them.

A model drops what it does not know, so what comes out must be what went in.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor

MODELS = {model.__name__: model for model in (PrometheusRule, ScaledObject, ServiceMonitor)}


def main(manifest: Path) -> None:
    """Prints how many are valid; ends with status 1 at the first that is not."""
    resources: list[dict[str, Any]] = list(yaml.safe_load_all(manifest.read_text()))
    for each in resources:
        known = MODELS[each["kind"]].model_validate(each).model_dump(by_alias=True, exclude_unset=True, mode="json")
        if known != each:
            sys.exit(f"{each['kind']}/{each['metadata']['name']}: the CRD has not all of it: {known} instead of {each}")
    print(f"{len(resources)} valid")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
