"""The documentation keeps step: whatever a user can meet is named in docs/."""

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
from chain.client.registry import get_query_methods, get_transaction_methods
from chain.errors import get_registered_errors
from chain.node.config import NodeConfig
from chain.node.metrics import NodeMetrics
from relayer.config import Config as RelayerConfig
from relayer.telemetry import Telemetry

DOCS = Path(__file__).resolve().parents[2] / "docs"
APPS = {
    "marginchaind": "chain.cli.app",
    "mrelay": "relayer.cli",
    "mlocalnet": "localnet.cli",
}


@cache
def get_docs() -> str:
    return "\n".join(path.read_text() for path in sorted(DOCS.rglob("*.md")))


def is_documented(name: str) -> bool:
    return re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", get_docs()) is not None


def list_commands(command: object, prefix: str) -> Iterator[tuple[str, object]]:
    for name, sub in sorted(getattr(command, "commands", {}).items()):
        if hasattr(sub, "commands"):
            yield from list_commands(sub, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", sub


def get_commands() -> list[tuple[str, object]]:
    commands: list[tuple[str, object]] = []
    for program, module in APPS.items():
        app = importlib.import_module(module).app
        group = typer.main.get_command(app)
        commands += list_commands(group, program)
    return commands


def get_own_methods(methods) -> list[str]:
    return sorted(
        {
            info.path.rsplit("/", 1)[-1]
            for group in methods().values()
            for info in group.values()
            if info.path.startswith("/margin.")
        }
    )


def list_config_keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        for candidate in (inner, *getattr(inner, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                yield from list_config_keys(candidate)
                break
        else:
            yield field.alias or name


def load_every_error() -> None:
    for package in (chain, importlib.import_module("relayer")):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "._pb" not in module.name and module.name.rsplit(".", 1)[-1] in ("errors", "submit"):
                importlib.import_module(module.name)


def get_metric_names() -> list[str]:
    registries = (Telemetry().registry, NodeMetrics().registry)
    return sorted({metric.name for registry in registries for metric in registry.collect()})


COMMANDS = get_commands()


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_command_is_documented_and_says_what_it_does(name: str, command) -> None:
    # tx and query commands are made from the messages and queries, which stand in the specs.
    if not re.match(r"marginchaind (tx|query) ", name):
        assert is_documented(name), f"`{name}` stands nowhere in docs/"
    assert command.help, f"`{name}` has no help text"


@pytest.mark.parametrize("name", get_own_methods(get_transaction_methods))
def test_message_is_documented(name: str) -> None:
    assert is_documented(f"Msg{name}"), f"Msg{name} stands nowhere in docs/"


@pytest.mark.parametrize("name", get_own_methods(get_query_methods))
def test_query_is_documented(name: str) -> None:
    assert is_documented(name), f"query {name} stands nowhere in docs/"


def test_every_error_is_documented() -> None:
    load_every_error()
    missing = [
        f"{error.codespace} {error.code} {error.__name__}"
        for error in get_registered_errors()
        if re.search(rf"\b{error.__name__}\b", get_docs()) is None
    ]
    assert not missing, "errors that stand nowhere in docs/:\n" + "\n".join(missing)


def test_every_metric_is_documented() -> None:
    missing = [name for name in get_metric_names() if name not in get_docs()]
    assert not missing, f"metrics that stand nowhere in docs/: {missing}"


@pytest.mark.parametrize("model", [NodeConfig, RelayerConfig])
def test_every_config_key_is_documented(model) -> None:
    missing = sorted({key for key in list_config_keys(model) if not is_documented(key)})
    assert not missing, f"config keys that stand nowhere in docs/: {missing}"
