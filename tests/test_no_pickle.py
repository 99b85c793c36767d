"""No module can be made to run what it reads: nothing unpickles, and nothing asks NumPy or PyTorch to."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_habits import SOURCES, name

FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
UNSAFE = {"allow_pickle": True, "weights_only": False}


def unsafe(tree: ast.Module) -> Iterator[str]:
    """What a module does that could run what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.partition(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FORBIDDEN_MODULES:
            yield node.module or ""
        elif isinstance(node, ast.keyword) and node.arg in UNSAFE:
            safe = isinstance(node.value, ast.Constant) and node.value.value is not UNSAFE[node.arg]
            yield from () if safe else (node.arg,)


@pytest.mark.parametrize(
    "source", ["import pickle", "from joblib import load", "f(allow_pickle=True)", "f(allow_pickle=x)"]
)
def test_unsafe_reading_is_noticed(source: str) -> None:
    assert list(unsafe(ast.parse(source)))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_nothing_is_unpickled(path: Path) -> None:
    assert list(unsafe(ast.parse(path.read_text()))) == []
