"""`python -m tests.monitoring.trial`: every alert fires on a fault that really happens, and ends when it is repaired.

One server, real calls, Prometheus and Alertmanager. A fault is injected when no alert is left of the one before. What counts is what
Alertmanager tells its receiver; the rules are those of k8s/monitoring with shorter durations (`observatory.HURRIED`).
"""

import logging
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.monitoring.faults import FAULTS, Fault
from tests.monitoring.observatory import Notices, hurried, missing, observing, until
from tests.monitoring.site import Site, watched

# Far more than it takes on a quiet machine; a comparison with the week before needs a whole one twice.
_PATIENCE_SECONDS = 240.0


@dataclass(frozen=True)
class Seen:
    """When Alertmanager told of an alert, in seconds after the fault, and when it took it back, after the repair."""

    alert: str
    fault: str
    fired_after: float
    resolved_after: float


def tried(fault: Fault, site: Site) -> list[Seen]:
    """Injects a fault and repairs it; raises TimeoutError when an alert does not come or does not go."""
    notices = site.observatory.notices
    until(lambda: not notices.firing, _PATIENCE_SECONDS, f"before {fault.what}: no alert left")
    began = time.monotonic()
    with fault.done_to(site):
        fired = _times(fault, notices, began, is_firing=True)
        repaired = time.monotonic()
    resolved = _times(fault, notices, repaired, is_firing=False)
    return [Seen(alert, fault.what, fired[alert], resolved[alert]) for alert in fault.alerts]


def _times(fault: Fault, notices: Notices, began: float, *, is_firing: bool) -> dict[str, float]:
    """After how many seconds each of the fault's alerts fires, or does not any more."""
    seen: dict[str, float] = {}

    def look() -> bool:
        for alert in fault.alerts:
            if (alert in notices.firing) is is_firing:
                seen.setdefault(alert, time.monotonic() - began)
        return len(seen) == len(fault.alerts)

    what = "fires" if is_firing else "resolved"
    try:
        until(look, _PATIENCE_SECONDS, what)
    except TimeoutError as error:
        left = ", ".join(sorted(set(fault.alerts) - set(seen)))
        raise TimeoutError(f"{fault.what}: {left}: {error}; firing: {sorted(notices.firing)}") from None
    return seen


def trial(folder: Path, faults: Iterable[Fault] = FAULTS) -> Iterator[Seen]:
    """Tries the faults one after the other, in `folder`."""
    with observing(folder, hurried()) as observatory, watched(folder, observatory) as site:
        for fault in faults:
            yield from tried(fault, site)


def main(
    only: Annotated[
        str, typer.Option(metavar="WORD", help="Try only the faults whose description or alerts have this word.")
    ] = "",
) -> None:
    """Break a server in every way that an alert is there for, and see each alert fire and end. Takes about ten minutes."""
    if lacking := missing():
        typer.echo(f"error: not installed: apt-get install {lacking}", err=True)
        raise typer.Exit(1)
    faults = [fault for fault in FAULTS if only in f"{fault.what} {fault.alerts}"]
    if not faults:
        typer.echo(f"error: --only {only!r}: no fault has this word", err=True)
        raise typer.Exit(2)
    console = Console(width=120)
    table = Table("alert", "fault", "fired after s", "resolved after s")
    with tempfile.TemporaryDirectory() as folder, console.status("watching"):
        try:
            for seen in trial(Path(folder), faults):
                console.log(f"{seen.alert}: fired and resolved")
                table.add_row(seen.alert, seen.fault, f"{seen.fired_after:.1f}", f"{seen.resolved_after:.1f}")
        except TimeoutError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from None
    console.print(table)


if __name__ == "__main__":
    logging.disable()
    typer.run(main)
