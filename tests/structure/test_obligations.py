"""Every failure to survive and every clause of IBC has its test, and every test named is there."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.adversarial.known_failures import KNOWN_FAILURES
from tests.ibc.clauses import CLAUSES

ROOT = Path(__file__).resolve().parents[2]
ROWS = (*range(1, 17), 20, 21, *range(28, 32))


@cache
def list_tests(file: str) -> set[str]:
    """The names at the top of a test file that pytest collects."""
    tree = ast.parse((ROOT / file).read_text())
    functions = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    machines = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return functions | {name for name in classes | machines if name.startswith("Test")}


def test_no_row_is_lost() -> None:
    assert tuple(KNOWN_FAILURES) == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_every_row_names_tests_that_exist(row: int) -> None:
    known = KNOWN_FAILURES[row]
    assert known.failure
    assert known.expected
    assert known.tests, f"row {row} has no test"
    for name in known.tests:
        file, _, test = name.partition("::")
        assert test in list_tests(file), f"row {row}: {name} is not there"


def test_no_explicit_test_belongs_to_no_row() -> None:
    file = "tests/adversarial/test_known_failures.py"
    named = {name for known in KNOWN_FAILURES.values() for name in known.tests}
    assert {f"{file}::{test}" for test in list_tests(file)} <= named


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_clause_names_tests_that_exist(clause: str) -> None:
    assert CLAUSES[clause], f"{clause} has no test"
    for name in CLAUSES[clause]:
        file, _, test = name.partition("::")
        assert test in list_tests(file), f"{clause}: {name} is not there"
