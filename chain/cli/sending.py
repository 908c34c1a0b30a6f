"""How a command sends messages: sign, ask, broadcast, wait, and show what became of them."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer
from google.protobuf.message import Message

from chain.cli.session import Session, print_table
from chain.client.amount import Amount
from chain.client.api import TxOutcome
from chain.client.errors import InvalidField, TxRefused
from chain.client.registry import to_json
from chain.client.sync import SyncMarginClient
from chain.client.transaction import FEE_DENOM
from chain.client.wallet import Wallet

_GAS = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class SendOptions:
    """The options that all `tx` commands share."""

    key: str
    chain_id: str | None
    fees: str | None
    gas: str
    memo: str
    is_confirmed: bool
    mode: str
    is_waiting: bool
    timeout_s: float
    is_dry_run: bool


def send_messages(session: Session, messages: Sequence[Message], options: SendOptions) -> None:
    """Send the messages as one transaction; raises TxRefused, so that a failure exits above 0."""
    if options.mode != "sync":
        raise InvalidField("--broadcast-mode takes sync alone; use --no-wait to return early")
    gas_limit = _parse_gas(options.gas)
    fee_amount = _parse_fees(options.fees)
    wallet = session.open_keyring().open(options.key)
    with session.connect(options.chain_id) as client:
        if options.is_dry_run:
            session.show(_simulate(client, wallet, messages, options.memo))
            return
        _confirm(messages, options)
        pending = client.submit(
            wallet, messages, gas_limit=gas_limit, fee_amount=fee_amount, memo=options.memo
        )
        if not options.is_waiting:
            session.show({"txhash": pending.txhash, "code": 0})
            return
        try:
            outcome = pending.wait(options.timeout_s)
        except TxRefused as error:
            session.show(_refused_document(error))
            raise
    session.show(_outcome_document(outcome))


def _simulate(
    client: SyncMarginClient, wallet: Wallet, messages: Sequence[Message], memo: str
) -> dict[str, Any]:
    simulation = client.simulate(wallet, messages, memo=memo)
    return {
        "gas_used": str(simulation.gas_used),
        "responses": [_response_document(response) for response in simulation.responses],
    }


def _confirm(messages: Sequence[Message], options: SendOptions) -> None:
    """Show what would be signed and ask, on a terminal and without --yes."""
    if options.is_confirmed or not sys.stdin.isatty():
        return
    for message in messages:
        print_table({"message": message.DESCRIPTOR.full_name, **to_json(message)})
    typer.confirm("Sign and send?", abort=True, err=True)


def _outcome_document(outcome: TxOutcome) -> dict[str, Any]:
    return {
        "txhash": outcome.txhash,
        "height": str(outcome.height),
        "code": 0,
        "codespace": "",
        "raw_log": "",
        "gas_wanted": str(outcome.gas_wanted),
        "gas_used": str(outcome.gas_used),
        "responses": [_response_document(response) for response in outcome.responses],
    }


def _refused_document(error: TxRefused) -> dict[str, Any]:
    fields = error.fields
    return {
        "txhash": fields["txhash"],
        "height": str(fields["height"]),
        "code": fields["tx_code"],
        "codespace": fields["tx_codespace"],
        "raw_log": fields["raw_log"],
        "gas_wanted": str(fields["gas_wanted"]),
        "gas_used": str(fields["gas_used"]),
    }


def _response_document(response: Message) -> dict[str, Any]:
    return {"@type": f"/{response.DESCRIPTOR.full_name}", **to_json(response)}


def _parse_gas(text: str) -> int | None:
    if text == "auto":
        return None
    if not _GAS.fullmatch(text):
        raise InvalidField(f"--gas {text!r} must be auto or an integer above zero")
    return int(text)


def _parse_fees(text: str | None) -> int | None:
    if text is None or text == f"0{FEE_DENOM}":
        return None if text is None else 0
    fee = Amount.parse(text)
    if fee.denom != FEE_DENOM:
        raise InvalidField(f"--fees are paid in {FEE_DENOM}, not {fee.denom}")
    return fee.units
