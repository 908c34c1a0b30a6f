"""What every command shares: the global options, the node they point at, and how results print."""

import getpass
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from chain.client.sync import SyncMarginClient
from chain.client.wallet import Keyring, KeyringBackend
from chain.errors import ChainError
from chain.node.config import CONFIG_PATH, NodeConfig, load_config

DEFAULT_HOME: Final = Path("~/.marginchain")
ENV_HOME: Final = "MARGINCHAIND_HOME"
ENV_NODE: Final = "MARGINCHAIND_NODE"
ENV_GRPC: Final = "MARGINCHAIND_GRPC_URL"
ENV_OUTPUT: Final = "MARGINCHAIND_OUTPUT"
ENV_KEYRING: Final = "MARGINCHAIND_KEYRING_BACKEND"
ENV_CHAIN_ID: Final = "MARGINCHAIND_CHAIN_ID"
ENV_UNLOCK: Final = "MARGINCHAIND_KEYRING_PASSPHRASE"
_COLUMNS_MAX: Final = 10
"""Of a table that stands among others."""


class Output(Enum):
    """How results print."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Session:
    """The global options of one command run; None means: derive it from the home's app.toml."""

    home: Path
    node: str | None
    grpc: str | None
    output: Output
    keyring_backend: KeyringBackend

    def load_config(self) -> NodeConfig | None:
        """The settings of the home, or None when it has none."""
        return load_config(self.home) if (self.home / CONFIG_PATH).exists() else None

    @property
    def rpc_url(self) -> str:
        """The CometBFT RPC to ask: --node, else the home's, else the habit."""
        if self.node:
            return self.node
        config = self.load_config()
        return config.cometbft.rpc if config else "http://127.0.0.1:26657"

    @property
    def grpc_url(self) -> str:
        """The gRPC server to ask: --grpc, else the home's, else the habit."""
        if self.grpc:
            return self.grpc
        config = self.load_config()
        return f"grpc+http://{config.grpc.address if config else '127.0.0.1:9090'}"

    def connect(self, chain_id: str | None = None) -> SyncMarginClient:
        """A client of the node's gRPC server."""
        return SyncMarginClient.connect(self.grpc_url, chain_id=chain_id)

    def open_keyring(self) -> Keyring:
        """The keyring of the home."""
        return Keyring(self.home, self.keyring_backend, ask_passphrase)

    def show(self, document: Mapping[str, Any] | Sequence[Any]) -> None:
        """Print a result: one JSON document, or a table for people."""
        if self.output is Output.JSON:
            print_json(document)
        else:
            print_table(document)


def get_session(ctx: typer.Context) -> Session:
    """The session of the running command."""
    session = ctx.find_root().obj
    assert isinstance(session, Session)
    return session


def default_output() -> Output:
    """Text on a terminal, JSON when piped."""
    return Output.TEXT if sys.stdout.isatty() else Output.JSON


def ask_passphrase(prompt: str) -> str:
    """The keyring's passphrase: from the environment when set there, else typed unseen."""
    return os.environ.get(ENV_UNLOCK) or getpass.getpass(prompt)


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_table(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """A list of records as a table with one row each, anything else as name and value.

    Several lists become a table each, under their names, as far as their records are flat and few
    columns wide.
    """
    console = Console()
    if isinstance(document, Mapping):
        _print_fields(console, document)
    elif _is_records(document):
        console.print(_records_table(document))
    else:
        for item in document:
            console.print(str(item))


def _print_fields(console: Console, document: Mapping[str, Any]) -> None:
    tables = {name: value for name, value in document.items() if _is_records(value)}
    is_alone = len(tables) == 1
    if not is_alone:
        tables = {name: records for name, records in tables.items() if _is_narrow(records)}
    rest = {name: value for name, value in document.items() if name not in tables}
    if is_alone:
        console.print(*map(_records_table, tables.values()))
    if not tables or any(value not in ("", "0", 0, None, {}, []) for value in rest.values()):
        console.print(_pairs_table(rest))
    if not is_alone:
        for name, records in tables.items():
            console.print(f"\n[bold]{_escape(name)}[/bold]")
            console.print(_records_table(records))


def report_error(error: BaseException, output: Output) -> None:
    """The refusal on standard error: as JSON with its code and figures, or as one sentence."""
    if output is Output.JSON:
        document: dict[str, Any] = {"error": str(error)}
        if isinstance(error, ChainError):
            fields = {key: _jsonable(value) for key, value in error.fields.items()}
            document |= {"codespace": error.codespace, "code": error.code, **fields}
        sys.stderr.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        Console(stderr=True).print(f"[red]error:[/red] {_escape(str(error))}", highlight=False)


def fail(text: str) -> NoReturn:
    """End the command with a sentence on standard error and exit code 1."""
    raise typer.BadParameter(text)


def _is_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _is_narrow(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a table shows records better than names and values do."""
    columns = {key for record in records for key in record}
    values = [value for record in records for value in record.values()]
    return len(columns) <= _COLUMNS_MAX and not any(isinstance(v, Mapping | list) for v in values)


def _records_table(records: Sequence[Mapping[str, Any]]) -> Table:
    columns = list(dict.fromkeys(key for record in records for key in record))
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for record in records:
        table.add_row(*(_escape(_cell(record.get(column, ""))) for column in columns))
    return table


def _pairs_table(document: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    pending: list[tuple[str, Any]] = list(reversed(list(document.items())))
    while pending:
        name, value = pending.pop()
        if isinstance(value, Mapping) and value:
            pending += [(f"{name}.{key}", item) for key, item in reversed(list(value.items()))]
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            numbered = list(enumerate(value))
            pending += [(f"{name}[{index}]", item) for index, item in reversed(numbered)]
        else:
            table.add_row(name, _escape(_cell(value)))
    return table


def _cell(value: object) -> str:
    if isinstance(value, list) and not any(isinstance(item, Mapping) for item in value):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


def _jsonable(value: object) -> object:
    return value if isinstance(value, str | int | bool | None) else str(value)
