"""Consensus code is deterministic: the rules are read off its syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHAIN = Path(__file__).resolve().parents[2] / "chain"
# Shells may know the clock, the machine and floats; nothing else may.
SHELLS = {"node", "client", "cli", "_pb"}
FORBIDDEN_MODULES = {
    "asyncio",
    "datetime",
    "getpass",
    "locale",
    "multiprocessing",
    "numpy",
    "os",
    "platform",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "time",
    "uuid",
}
# The vectorised kernels: int64 arrays alone, range-checked before, held against the Python integers
# by tests/risk/test_batch.py and test_screen.py. No other consensus file may use numpy.
NUMPY_FILES = {"risk/batch.py", "risk/screen.py"}
FORBIDDEN_CALLS = {"float", "hash", "id", "complex", "eval", "exec", "open", "input"}
# Logging and verifying signatures on several threads do not steer consensus.
SET_CALLS = {"set", "frozenset"}


def get_consensus_files() -> list[Path]:
    return sorted(
        path for path in CHAIN.rglob("*.py") if path.relative_to(CHAIN).parts[0] not in SHELLS
    )


def is_set(node: ast.AST) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SET_CALLS
    )


def find_import_offence(node: ast.AST) -> str:
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module]
    found = [name for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
    return f"import of {found[0]}" if found else ""


def find_iteration_offence(node: ast.AST) -> str:
    match node:
        case ast.For(iter=iterated) | ast.comprehension(iter=iterated) if is_set(iterated):
            return "iteration over a set"
        case ast.Call(func=ast.Name(id="list" | "tuple" | "iter" | "next"), args=[first, *_]):
            return "iteration over a set" if is_set(first) else ""
    return ""


def find_arithmetic_offence(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=float() | complex()):
            return "a float literal"
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            # pathlib's / is not arithmetic, but consensus code has no paths either.
            return "true division"
        case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_CALLS:
            return f"a call of {name}()"
    return ""


def find_offences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        for find in (find_import_offence, find_iteration_offence, find_arithmetic_offence):
            offence = find(node)
            if offence:
                yield getattr(node, "lineno", 0), offence


@pytest.mark.parametrize("path", get_consensus_files(), ids=lambda p: str(p.relative_to(CHAIN)))
def test_consensus_file_is_deterministic(path: Path) -> None:
    offences = [
        (line, what)
        for line, what in find_offences(ast.parse(path.read_text()))
        if what != "import of numpy" or path.relative_to(CHAIN).as_posix() not in NUMPY_FILES
    ]
    assert not offences, "\n".join(f"{path}:{line}: {what}" for line, what in offences)


@pytest.mark.parametrize(
    "source",
    [
        "x = 1.5",
        "x = a / b",
        "x /= 2",
        "import time",
        "from random import choice",
        "import os.path",
        "y = hash(x)",
        "y = float(x)",
        "for x in {1, 2}: pass",
        "z = [x for x in set(y)]",
        "z = list(frozenset(y))",
    ],
)
def test_rule_finds_its_offence(source: str) -> None:
    assert list(find_offences(ast.parse(source)))


@pytest.mark.parametrize("source", ["x = a // b", "y = x in {1, 2}", "for x in sorted({1}): pass"])
def test_rule_lets_integers_pass(source: str) -> None:
    assert not list(find_offences(ast.parse(source)))


def test_vectorised_kernel_holds_integers_alone() -> None:
    """Its arrays are int64 and it asks numpy for nothing that could bring in a float."""
    allowed = {
        "abs",
        "add",
        "array",
        "ascontiguousarray",
        "bool",
        "clip",
        "concatenate",
        "dtype",
        "einsum",
        "empty",
        "empty_like",
        "flatnonzero",
        "full",
        "int64",
        "maximum",
        "minimum",
        "ndarray",
        "partition",
        "right_shift",
        "where",
        "zeros",
        "zeros_like",
    }
    for name in sorted(NUMPY_FILES):
        tree = ast.parse((CHAIN / name).read_text())
        attributes = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "np"
        }
        assert attributes <= allowed
        made = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"array", "zeros", "empty"}
        ]
        for call in made:
            kinds = [word.value for word in call.keywords if word.arg == "dtype"]
            assert [ast.unparse(kind) for kind in kinds] == ["np.int64"]
