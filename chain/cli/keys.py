"""`marginchaind keys`: the keyring."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.cli.session import Output, get_session
from chain.client.json_text import load_json
from chain.client.wallet import HD_PATH, KeyRecord, Wallet, generate_mnemonic

app = typer.Typer(help="Keep the keys that sign transactions.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of the key.")]


def _describe(record: KeyRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "address": record.address,
        "type": "secp256k1",
        "public_key": record.public_key.hex(),
    }


@app.command()
def add(
    ctx: typer.Context,
    name: NameArgument,
    *,
    recover: Annotated[
        bool, typer.Option("--recover", help="Read a mnemonic from standard input.")
    ] = False,
    hd_path: Annotated[str, typer.Option(help="Derivation path.")] = HD_PATH,
    is_overwriting: Annotated[
        bool, typer.Option("--overwrite", help="Replace a key of the same name.")
    ] = False,
) -> None:
    """Make a new key, or recover one; the mnemonic of a new key is shown once."""
    session = get_session(ctx)
    if recover:
        if sys.stdin.isatty():
            typer.echo("Mnemonic:", err=True)
        words = sys.stdin.readline()
    else:
        words = generate_mnemonic()
    wallet = Wallet.from_mnemonic(words, path=hd_path)
    record = session.open_keyring().add(name, wallet, is_overwriting=is_overwriting)
    document = _describe(record)
    if not recover:
        document["mnemonic"] = words
        if session.output is Output.TEXT:
            typer.echo("Write the mnemonic down: it is the only way to recover the key.", err=True)
    session.show(document)


@app.command(name="list")
def list_keys(ctx: typer.Context) -> None:
    """List all keys."""
    session = get_session(ctx)
    session.show([_describe(record) for record in session.open_keyring().list()])


@app.command()
def show(
    ctx: typer.Context,
    name: NameArgument,
    *,
    is_address_only: Annotated[
        bool, typer.Option("--address", "-a", help="Print the address alone.")
    ] = False,
) -> None:
    """Show one key, by name or address."""
    session = get_session(ctx)
    record = session.open_keyring().find(name)
    if is_address_only:
        typer.echo(record.address)
    else:
        session.show(_describe(record))


@app.command()
def delete(
    ctx: typer.Context,
    name: NameArgument,
    *,
    is_confirmed: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a key for good."""
    session = get_session(ctx)
    keyring = session.open_keyring()
    record = keyring.show(name)
    if not is_confirmed:
        typer.confirm(f"Delete {record.name} ({record.address}) for good?", abort=True, err=True)
    keyring.delete(name)
    session.show({"deleted": record.name, "address": record.address})


@app.command(name="export")
def export_key(
    ctx: typer.Context,
    name: NameArgument,
    *,
    is_confirmed: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Print the private key, in the clear."""
    session = get_session(ctx)
    if not is_confirmed:
        typer.confirm(
            "Whoever reads the private key owns the account. Print it?", abort=True, err=True
        )
    wallet = session.open_keyring().open(name)
    session.show({"name": name, "address": wallet.address, "private_key": wallet.private_key.hex()})


@app.command(name="import")
def import_key(
    ctx: typer.Context,
    name: NameArgument,
    file: Annotated[
        Path | None,
        typer.Argument(help="File with the key as `keys export` wrote it; else standard input."),
    ] = None,
) -> None:
    """Add a key from what `keys export` wrote, or from its private key in hexadecimal."""
    session = get_session(ctx)
    text = (file.read_text() if file else sys.stdin.read()).strip()
    try:
        if text.startswith("{"):
            text = str(load_json(text).get("private_key", ""))
        private_key = bytes.fromhex(text)
    except ValueError as error:
        raise typer.BadParameter("the private key must be 64 hexadecimal digits") from error
    record = session.open_keyring().add(name, Wallet.from_private_key(private_key))
    session.show(_describe(record))
