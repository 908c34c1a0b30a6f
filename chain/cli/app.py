"""`marginchaind`: the program of a node and of everybody who talks to one."""

import sys
from collections.abc import Sequence
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError

from chain.cli import genesis, keys, nodes, recompute, risk
from chain.cli.generic import query_app, tx_app
from chain.cli.session import (
    DEFAULT_HOME,
    ENV_GRPC,
    ENV_HOME,
    ENV_KEYRING,
    ENV_NODE,
    ENV_OUTPUT,
    Output,
    Session,
    default_output,
    report_error,
)
from chain.client.wallet import KeyringBackend
from chain.errors import ChainError
from chain.node.abci import AbciHalted
from chain.node.config import ConfigError

GLOBAL_OPTIONS: Final = ("--home", "--node", "--grpc", "--output", "--keyring-backend")
"""May stand anywhere on the command line, as people are used to."""

app = typer.Typer(
    name="marginchaind",
    help="Run a node of the margin chain, keep keys, send transactions, ask questions. The global "
    "options may stand anywhere on the line.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(keys.app, name="keys")
app.add_typer(genesis.app, name="genesis")
app.add_typer(tx_app, name="tx")
app.add_typer(query_app, name="query")
app.add_typer(query_app, name="q", hidden=True)
app.add_typer(risk.app, name="risk")
app.add_typer(nodes.config_app, name="config")
app.add_typer(nodes.comet_app, name="comet")
risk.app.command(name="recompute")(recompute.recompute)
app.command(name="init")(nodes.init)
app.command(name="start")(nodes.start)
app.command(name="status")(nodes.status)
app.command(name="export")(nodes.export)


@app.callback()
def set_session(
    ctx: typer.Context,
    home: Annotated[Path, typer.Option(envvar=ENV_HOME, help="Folder of the node.")] = DEFAULT_HOME,
    node: Annotated[
        str | None, typer.Option(envvar=ENV_NODE, help="CometBFT RPC, http://host:port.")
    ] = None,
    grpc: Annotated[
        str | None, typer.Option(envvar=ENV_GRPC, help="gRPC server, grpc+http://host:port.")
    ] = None,
    output: Annotated[
        Output | None,
        typer.Option(envvar=ENV_OUTPUT, help="Default: text on a terminal, json when piped."),
    ] = None,
    keyring_backend: Annotated[
        KeyringBackend,
        typer.Option(envvar=ENV_KEYRING, help="test keeps keys in the clear, file encrypts them."),
    ] = KeyringBackend.TEST,
) -> None:
    """Take the global options."""
    ctx.obj = Session(home.expanduser(), node, grpc, output or default_output(), keyring_backend)


@app.command()
def version(ctx: typer.Context) -> None:
    """Print the version."""
    session = ctx.find_root().obj
    assert isinstance(session, Session)
    session.show({"name": "marginchaind", "version": package_version("margin-chain")})


def hoist_global_options(arguments: Sequence[str]) -> list[str]:
    """The arguments with all global options in front; what follows `--` stays where it is."""
    front: list[str] = []
    rest: list[str] = []
    pending = list(arguments)
    while pending:
        word = pending.pop(0)
        if word == "--":
            rest += [word, *pending]
            break
        if word in GLOBAL_OPTIONS and pending:
            front += [word, pending.pop(0)]
        elif word.split("=", 1)[0] in GLOBAL_OPTIONS:
            front.append(word)
        else:
            rest.append(word)
    return front + rest


def main() -> None:
    """Run the command line; a refusal exits with 1, a wrong use with 2."""
    arguments = hoist_global_options(sys.argv[1:])
    try:
        app(args=arguments)
    except (ChainError, ConfigError, AbciHalted, ValidationError, OSError, RuntimeError) as error:
        is_json = "json" in arguments[: len(GLOBAL_OPTIONS) * 2] or (
            default_output() is Output.JSON and "text" not in arguments[: len(GLOBAL_OPTIONS) * 2]
        )
        report_error(error, Output.JSON if is_json else Output.TEXT)
        sys.exit(1)
