"""report.json: every check that an export had to pass, with what was measured."""

from typing import Literal

from bundle import strict


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
