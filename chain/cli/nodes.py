"""The commands about one node: init, start, status, export, config and comet."""

import base64
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.cli.session import get_session
from chain.client.blocking import LoopThread
from chain.client.comet import CometClient, NodeStatus
from chain.node.config import CONFIG_PATH, load_config, load_config_file
from chain.node.home import (
    compute_consensus_address,
    create_home,
    read_node_id,
    read_validator_key,
)
from chain.node.node import CHAINS, configure_logging, run_node
from chain.node.storage import open_commit_store
from chain.runtime.application import Application
from chain.runtime.genesis import build_default_app_state

config_app = typer.Typer(help="Check and show config/app.toml.", no_args_is_help=True)
comet_app = typer.Typer(help="Identities CometBFT knows this node by.", no_args_is_help=True)


def init(
    ctx: typer.Context,
    moniker: Annotated[str, typer.Argument(help="Name of the node.")],
    *,
    chain_id: Annotated[str, typer.Option("--chain-id", help="Id of the chain, as hub-1.")],
    chain_type: Annotated[str, typer.Option("--type", help="hub or spoke.")] = "hub",
    is_overwriting: Annotated[
        bool, typer.Option("--overwrite", help="Write config and genesis anew; keys stay.")
    ] = False,
) -> None:
    """Write a home: settings, keys, and a genesis with default parameters."""
    session = get_session(ctx)
    if chain_type not in CHAINS:
        raise typer.BadParameter(f"--type must be one of {', '.join(CHAINS)}")
    create_home(
        session.home,
        moniker=moniker,
        chain_id=chain_id,
        chain_type=chain_type,
        app_state=build_default_app_state(CHAINS[chain_type]),
        is_overwriting=is_overwriting,
    )
    session.show(
        {
            "home": str(session.home),
            "chain_id": chain_id,
            "type": chain_type,
            "node_id": read_node_id(session.home),
            "moniker": moniker,
        }
    )


def start(ctx: typer.Context) -> None:
    """Run the application of the home until SIGTERM; CometBFT runs beside it."""
    run_node(get_session(ctx).home)


def status(ctx: typer.Context) -> None:
    """Ask CometBFT how the node stands."""
    session = get_session(ctx)

    async def ask() -> NodeStatus:
        async with CometClient(session.rpc_url) as client:
            return await client.status()

    with LoopThread() as loop:
        found = loop.run(ask())
    session.show(describe_status(found))


def describe_status(status: NodeStatus) -> dict[str, Any]:
    """The status as one flat record; bytes in hexadecimal, 64-bit integers as texts."""
    document: dict[str, Any] = {}
    for key, value in asdict(status).items():
        if isinstance(value, bytes):
            document[key] = value.hex().upper()
        elif isinstance(value, int) and not isinstance(value, bool):
            document[key] = str(value)
        else:
            document[key] = list(value) if isinstance(value, tuple) else value
    return document


def export(
    ctx: typer.Context,
    *,
    file: Annotated[
        Path | None, typer.Option("--output-document", help="Write here, not to standard output.")
    ] = None,
) -> None:
    """Print the last committed state as a genesis; the node must be stopped."""
    session = get_session(ctx)
    config = load_config(session.home)
    configure_logging(config.log)
    definition = CHAINS[config.chain]
    store = open_commit_store(session.home / "data", definition.store_names)
    try:
        document = Application(definition, store).export_genesis()
    finally:
        store.close()
    if file is None:
        sys.stdout.write(document.decode())
    else:
        file.write_bytes(document)
        session.show({"file": str(file), "bytes": len(document)})


@config_app.command(name="validate")
def validate_config(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Settings file; else the home's.")] = None,
) -> None:
    """Check the settings; each fault with file and line."""
    session = get_session(ctx)
    path = file or session.home / CONFIG_PATH
    load_config_file(path)
    session.show({"file": str(path), "valid": True})


@config_app.command(name="show")
def show_config(ctx: typer.Context) -> None:
    """Show the settings in force: file, then environment."""
    session = get_session(ctx)
    session.show(json.loads(load_config(session.home).model_dump_json()))


@comet_app.command(name="show-node-id")
def show_node_id(ctx: typer.Context) -> None:
    """Print the p2p id."""
    typer.echo(read_node_id(get_session(ctx).home))


@comet_app.command(name="show-validator")
def show_validator(ctx: typer.Context) -> None:
    """Print the consensus public key as the Cosmos world writes it."""
    key = base64.b64encode(read_validator_key(get_session(ctx).home)).decode()
    typer.echo(json.dumps({"@type": "/cosmos.crypto.ed25519.PubKey", "key": key}))


@comet_app.command(name="show-address")
def show_address(ctx: typer.Context) -> None:
    """Print the consensus address in upper-case hexadecimal."""
    key = read_validator_key(get_session(ctx).home)
    typer.echo(compute_consensus_address(key).hex().upper())
