"""`marginchaind genesis`: the document a chain begins with."""

import base64
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from chain.cli.session import get_session
from chain.client.amount import Amount
from chain.client.json_text import load_json
from chain.client.wallet import decode_address
from chain.node.genesis_check import GenesisFault, check_genesis
from chain.node.home import GENESIS_PATH, read_validator_key, write_genesis

app = typer.Typer(help="Edit and check config/genesis.json.", no_args_is_help=True)

BASE_ACCOUNT: Final = "/cosmos.auth.v1beta1.BaseAccount"
FileOption = Annotated[Path | None, typer.Option("--file", help="Another genesis file.")]


def _load(path: Path) -> dict[str, Any]:
    try:
        document = load_json(path.read_text())
    except OSError as error:
        raise typer.BadParameter(
            f"{path}: {error.strerror}; `marginchaind init` writes one"
        ) from error
    except ValueError as error:
        raise typer.BadParameter(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{path}: not a JSON object")
    return document


def _part(document: dict[str, Any], module: str) -> dict[str, Any]:
    part: dict[str, Any] = document.setdefault("app_state", {}).setdefault(module, {})
    return part


@app.command(name="add-genesis-account")
def add_genesis_account(
    ctx: typer.Context,
    account: Annotated[str, typer.Argument(help="Address, or the name of a key.")],
    coins: Annotated[str, typer.Argument(help="Coins, e.g. 1000000umargin,'10 ETH'.")],
    file: FileOption = None,
) -> None:
    """Give an account coins from the first block on; coins of an account add up."""
    session = get_session(ctx)
    path = file or session.home / GENESIS_PATH
    document = _load(path)
    address = account
    if not account.startswith("margin1"):
        address = session.open_keyring().find(account).address
    decode_address(address)
    accounts = _part(document, "auth").setdefault("accounts", [])
    if not any(item.get("address") == address for item in accounts):
        numbers = [int(item.get("account_number", 0)) for item in accounts]
        accounts.append(
            {
                "@type": BASE_ACCOUNT,
                "address": address,
                "account_number": str(max(numbers, default=-1) + 1),
                "sequence": "0",
            }
        )
    balances = _part(document, "bank").setdefault("balances", [])
    entry = next((item for item in balances if item["address"] == address), None)
    if entry is None:
        entry = {"address": address, "coins": []}
        balances.append(entry)
    held = {coin["denom"]: int(coin["amount"]) for coin in entry["coins"]}
    for text in coins.split(","):
        amount = Amount.parse(text)
        held[amount.denom] = held.get(amount.denom, 0) + amount.units
    entry["coins"] = [{"denom": denom, "amount": str(held[denom])} for denom in sorted(held)]
    _part(document, "bank")["supply"] = _sum_supply(balances)
    write_genesis(path, document)
    session.show({"address": address, "coins": entry["coins"]})


@app.command(name="add-validator")
def add_validator(
    ctx: typer.Context,
    *,
    pubkey: Annotated[
        str, typer.Option(help="Consensus public key in base64; else this home's own.")
    ] = "",
    power: Annotated[int, typer.Option(min=1, help="Voting power.")] = 10,
    moniker: Annotated[str, typer.Option(help="Name of the validator.")] = "validator",
    operator: Annotated[str, typer.Option(help="Address of its operator.")] = "",
    file: FileOption = None,
) -> None:
    """Let a validator sign from the first block on."""
    session = get_session(ctx)
    path = file or session.home / GENESIS_PATH
    document = _load(path)
    try:
        key = (
            base64.b64decode(pubkey, validate=True) if pubkey else read_validator_key(session.home)
        )
    except ValueError as error:
        raise typer.BadParameter(f"--pubkey is not base64: {error}") from error
    if len(key) != 32:
        raise typer.BadParameter(f"--pubkey has {len(key)} bytes, an ed25519 key has 32")
    entry: dict[str, Any] = {
        "consensus_pubkey": base64.b64encode(key).decode(),
        "power": str(power),
        "moniker": moniker,
        "operator": operator,
    }
    validators = _part(document, "validators").setdefault("validators", [])
    if any(item["consensus_pubkey"] == entry["consensus_pubkey"] for item in validators):
        raise typer.BadParameter("the genesis has this validator already")
    validators.append(entry)
    write_genesis(path, document)
    session.show(entry)


@app.command()
def validate(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Genesis file; else the home's.")] = None,
    *,
    chain_type: Annotated[
        str | None, typer.Option("--type", help="hub or spoke; else what app.toml says.")
    ] = None,
) -> None:
    """Check a genesis whole, as the first block would: each fault with file and line."""
    session = get_session(ctx)
    path = file or session.home / GENESIS_PATH
    config = session.load_config()
    kind = chain_type or (config.chain if config else "hub")
    faults: list[GenesisFault] = check_genesis(path, kind)
    if faults:
        for fault in faults:
            typer.echo(str(fault), err=True)
        raise typer.Exit(1)
    session.show({"file": str(path), "valid": True})


def _sum_supply(balances: list[dict[str, Any]]) -> list[dict[str, str]]:
    total: dict[str, int] = {}
    for balance in balances:
        for coin in balance["coins"]:
            total[coin["denom"]] = total.get(coin["denom"], 0) + int(coin["amount"])
    return [{"denom": denom, "amount": str(total[denom])} for denom in sorted(total)]
