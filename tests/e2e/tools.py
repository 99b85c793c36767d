"""Programs that the machine must have."""

import shutil

import pytest


def needed(program: str, package: str) -> str:
    """Path of `program`; skips the test with the name of the Debian package when it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return found
