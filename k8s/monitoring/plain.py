"""`python -m k8s.monitoring.plain`: the rules for a Prometheus that no operator looks after.

rules.yaml is a PrometheusRule, because kustomize can patch that as it is; a file of rules is what is under its `spec`. PyYAML comes
with the development environment.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

SOURCE = Path(__file__).with_name("rules.yaml")
RUNBOOK = "docs/runbook.md"

Groups = dict[str, list[dict[str, Any]]]


def plain(runbook: str = RUNBOOK) -> Groups:
    """The groups of rules; `runbook` is where the alerts' runbook_url leads, before the `#`."""
    groups: Groups = yaml.safe_load(SOURCE.read_text())["spec"]
    for group in groups["groups"]:
        for rule in group["rules"]:
            if "annotations" in rule:
                annotations = rule["annotations"]
                annotations["runbook_url"] = annotations["runbook_url"].replace(RUNBOOK, runbook)
    return groups


def main(
    runbook: Annotated[
        str, typer.Option(metavar="URL", help="Where each alert's runbook_url leads: your copy of docs/runbook.md.")
    ] = RUNBOOK,
) -> None:
    """Write the recording rules and alerts as a file for Prometheus' rule_files to standard output."""
    yaml.safe_dump(plain(runbook), sys.stdout, sort_keys=False, width=200)


if __name__ == "__main__":
    typer.run(main)
