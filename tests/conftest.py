"""What holds for every test."""

import os
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """In CI a skipped test is a failed one: there, everything that tests need is installed."""
    report: Any = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
    return report
