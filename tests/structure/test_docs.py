"""The documentation keeps step: all that users can meet is named in docs/ and found from there."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

import chain
import relayer
from chain.client.registry import get_query_methods, get_transaction_methods
from chain.errors import ChainError, get_registered_errors
from chain.node.config import NodeConfig
from chain.node.metrics import NodeMetrics
from relayer.config import Config as RelayerConfig
from relayer.telemetry import Telemetry

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ERRORS = DOCS / "operators" / "errors.md"
METRICS = DOCS / "operators" / "metrics.md"
BENCHMARKS = DOCS / "operators" / "benchmarks.md"
SETTINGS = DOCS / "operators" / "config.md"
APPS = {
    "marginchaind": "chain.cli.app",
    "mrelay": "relayer.cli",
    "mlocalnet": "localnet.cli",
}
MADE_FROM_DESCRIPTORS = re.compile(r"marginchaind (tx|query) \S+ \S+")
"""Commands made from messages and queries; these stand in the specs, the rule in cli.md."""
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:work|home|root|tmp|usr|Users|opt|mnt)/\S*")
REGISTRY_HOST = re.compile(
    r"pypi\.org|pythonhosted\.org|proxy\.golang\.org|sum\.golang\.org|npmjs\.(?:org|com)|crates\.io"
    r"|\bregistry\.[a-z]|artifactory|\bindex-url\b|/simple/?\b",
    re.IGNORECASE,
)
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6}\s+(.*)$", re.MULTILINE)


# What docs/ says


def list_pages() -> list[Path]:
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, *sorted(DOCS.rglob("*.md"))]


@cache
def read(path: Path) -> str:
    return path.read_text()


@cache
def read_docs() -> str:
    return "\n".join(read(path) for path in sorted(DOCS.rglob("*.md")))


@cache
def read_examples() -> str:
    return "\n".join(block for page in list_pages() for block in FENCE.findall(read(page)))


def names(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", text) is not None


# What users can meet


def list_commands(command: object, prefix: str) -> Iterator[tuple[str, object]]:
    """Every command by its full name; a hidden group is an alias of one that is listed."""
    for name, sub in sorted(getattr(command, "commands", {}).items()):
        if sub.hidden:
            continue
        if hasattr(sub, "commands"):
            yield from list_commands(sub, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", sub


def get_commands() -> list[tuple[str, object]]:
    commands: list[tuple[str, object]] = []
    for program, module in APPS.items():
        group = typer.main.get_command(importlib.import_module(module).app)
        commands += list_commands(group, program)
    return commands


def get_own_methods(methods, prefix: str = "") -> list[tuple[str, str]]:
    """(module, name) of each method of a service margin.<module>.v1."""
    paths = {info.path for group in methods().values() for info in group.values()}
    own = (re.fullmatch(r"/margin\.(\w+)\.v\d+\.\w+/(\w+)", path) for path in paths)
    return sorted((found[1], prefix + found[2]) for found in own if found)


def list_config_keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        for candidate in (inner, *getattr(inner, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                yield from list_config_keys(candidate)
                break
        else:
            yield field.alias or name


def get_errors() -> list[type[ChainError]]:
    """The errors of the programs; those that other tests define in this process are not theirs."""
    for package in (chain, relayer):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "._pb" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    rooms = ("chain.", "relayer.", "localnet.")
    return [error for error in get_registered_errors() if error.__module__.startswith(rooms)]


def list_sources() -> list[Path]:
    return [path for path in sorted((ROOT / "chain").rglob("*.py")) if "_pb" not in path.parts]


def read_text_argument(node: ast.expr) -> str | None:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if is_text else None


def list_calls(source: str, name: str) -> Iterator[list[str]]:
    """The text arguments of each call of a function or method whose name contains `name`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", None) or getattr(node.func, "id", None) or ""
            texts = (read_text_argument(item) for item in node.args)
            if name in called:
                yield [text for text in texts if text]


def get_metric_names() -> list[str]:
    """The names that Prometheus reads, of both programs; gauges read at scrape time included."""
    registries = (Telemetry().registry, NodeMetrics("hub").registry)
    found = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for registry in registries
        for metric in registry.collect()
    }
    for call in list_calls(read(ROOT / "chain" / "node" / "node.py"), "watch"):
        found.update(name for name in call if name.startswith("margin_"))
    return sorted(name for name in found if not name.startswith(("process_", "python_")))


def get_event_types() -> list[str]:
    """Every event type that the state machine writes out where it emits it."""
    calls = (
        call
        for path in list_sources()
        for function in ("emit", "isolate_item")
        for call in list_calls(read(path), function)
    )
    return sorted({call[0] for call in calls if call})


COMMANDS = get_commands()
MESSAGES = get_own_methods(get_transaction_methods, "Msg")
QUERIES = get_own_methods(get_query_methods)


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_command_has_an_example_and_says_what_it_does(name: str, command) -> None:
    assert command.help, f"`{name}` has no help text"
    if not MADE_FROM_DESCRIPTORS.match(name):
        assert names(read_examples(), name), f"no fenced example in docs/ shows `{name}`"


@pytest.mark.parametrize(("module", "name"), MESSAGES, ids=[f"{m}.{n}" for m, n in MESSAGES])
def test_message_stands_in_the_spec_of_its_module(module: str, name: str) -> None:
    assert names(read(DOCS / "specs" / f"{module}.md"), name), f"{name}: not in specs/{module}.md"


@pytest.mark.parametrize(("module", "name"), QUERIES, ids=[f"{m}.{n}" for m, n in QUERIES])
def test_query_stands_in_the_spec_of_its_module(module: str, name: str) -> None:
    assert names(read(DOCS / "specs" / f"{module}.md"), name), f"{name}: not in specs/{module}.md"


def test_error_index_is_the_registry() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\d+) \| `(\w+)` \|", read(ERRORS), re.MULTILINE)
    documented = [(codespace, int(code), name) for codespace, code, name in rows]
    registered = [(error.codespace, error.code, error.__name__) for error in get_errors()]
    assert len(documented) == len({*documented}), "operators/errors.md names an error twice"
    missing = sorted({*registered} - {*documented})
    stale = sorted({*documented} - {*registered})
    assert not missing, f"errors without a row in operators/errors.md: {missing}"
    assert not stale, f"rows of operators/errors.md without an error: {stale}"


def test_every_metric_is_documented() -> None:
    missing = [name for name in get_metric_names() if not names(read(METRICS), name)]
    assert not missing, f"metrics that operators/metrics.md does not name: {missing}"


def test_every_event_is_documented() -> None:
    missing = [name for name in get_event_types() if f"`{name}`" not in read_docs()]
    assert not missing, f"events that stand nowhere in docs/: {missing}"


@pytest.mark.parametrize("model", [NodeConfig, RelayerConfig])
def test_every_config_key_is_documented(model) -> None:
    missing = sorted({key for key in list_config_keys(model) if not names(read(SETTINGS), key)})
    assert not missing, f"settings that operators/config.md does not name: {missing}"


# The pages themselves


def compute_slug(heading: str) -> str:
    """The anchor that a heading gets on a code host."""
    plain = re.sub(r"[`*_]|\[|\]\([^)]*\)", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def test_every_benchmark_is_listed() -> None:
    listed = re.findall(r"^\| `(bench_\w+)` \|", read(BENCHMARKS), re.MULTILINE)
    assert listed == sorted(path.stem for path in (ROOT / "benchmarks").glob("bench_*.py"))


def list_links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """(link, file, anchor) of each link of a page that stays in the repository."""
    for link in LINK.findall(FENCE.sub("", read(page))):
        if not re.match(r"[a-z][a-z0-9+.-]*:", link):
            path, _, anchor = link.partition("#")
            yield link, (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", list_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for link, target, anchor in list_links(page):
        assert target.is_relative_to(ROOT), f"{link} leaves the repository"
        assert target.exists(), f"{link} leads nowhere"
        if anchor and target.suffix == ".md":
            anchors = [compute_slug(heading) for heading in HEADING.findall(read(target))]
            assert anchor in anchors, f"{link}: no such heading"


@pytest.mark.parametrize("page", list_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_page_speaks_of_the_project_alone(page: Path) -> None:
    for number, line in enumerate(read(page).splitlines(), 1):
        for rule, what in ((MACHINE_PATH, "a path of one machine"), (REGISTRY_HOST, "a registry")):
            found = rule.search(line)
            assert found is None, f"{page.name}:{number} names {what}: {found and found[0]}"


def test_every_page_is_reached_from_the_index() -> None:
    reached: set[Path] = set()
    pending = [DOCS / "README.md"]
    while pending:
        page = pending.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        pending += [target for _, target, _ in list_links(page)]
    lost = sorted(str(page.relative_to(ROOT)) for page in {*DOCS.rglob("*.md")} - reached)
    assert not lost, f"pages that no link from docs/README.md leads to: {lost}"
