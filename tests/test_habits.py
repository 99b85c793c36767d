"""Habits of the code that no linter keeps: short functions, short files."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bundle", "training", "exporter", "server", "client", "bench", "k8s", "tests")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LONGEST_FUNCTION, LONGEST_FILE = 50, 350


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_function_is_over_50_lines_and_no_file_over_350_without_a_reason(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [each.name for each in functions if (each.end_lineno or 0) - each.lineno >= LONGEST_FUNCTION]
    assert long == []
    lines = text.count("\n")
    assert lines <= LONGEST_FILE or "Long because" in (ast.get_docstring(tree) or ""), f"{lines} lines"


@pytest.mark.parametrize("path", [path for path in SOURCES if path.stat().st_size], ids=name)
def test_every_module_opens_by_saying_why_it_is_there(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
