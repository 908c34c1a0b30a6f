"""ICS-20: recorded packet data, acknowledgements, denoms and escrow addresses; model traces."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chain.errors import ChainError
from chain.ibc.apps.transfer import state
from chain.ibc.apps.transfer.application import TransferApplication
from chain.ibc.apps.transfer.denoms import (
    Denom,
    compute_escrow_address,
    parse_path,
    validate_denom,
)
from chain.ibc.apps.transfer.errors import InvalidTransferAmount
from chain.ibc.apps.transfer.handlers import handle_transfer
from chain.ibc.apps.transfer.packet_data import (
    SUCCESS,
    TransferData,
    decode_acknowledgement,
    decode_packet_data,
    encode_error,
    encode_packet_data,
)
from chain.ibc.channel.packets import validate_packet
from chain.ibc.errors import InvalidAcknowledgement
from chain.runtime.address import decode_address
from tests.ibc.apps.transfer.world import TransferWorld
from tests.vectors.families import CaseResult


def run(folder: Path) -> Iterator[CaseResult]:
    """A case for each recorded form and each step of the model's traces."""
    recorded = json.loads((folder / "generated" / "ibc_core_misc.json").read_text())
    yield from _run_denoms(recorded)
    yield from _run_packet_data(recorded)
    yield from _run_acknowledgements(recorded)
    for path in sorted((folder / "ics20" / "model_based_tests").glob("*.json")):
        for index, case in enumerate(json.loads(path.read_text())):
            yield _run_model(f"{path.stem} {index}", case)


def _compare(name: str, computed: object, expected: object) -> CaseResult:
    return CaseResult(name, computed == expected, f"computed {computed}, expected {expected}")


def _run_denoms(recorded: dict[str, Any]) -> Iterator[CaseResult]:
    for case in recorded["escrow"]:
        address = compute_escrow_address(case["port"], case["channel"])
        computed = decode_address(address).hex()
        yield _compare(f"escrow {case['channel']}", computed, case["escrow_address_hex"])
    for case in recorded["denoms"]:
        denom = parse_path(case["path"])
        yield _compare(f"base of {case['path']!r}", denom.base, case["base"])
        trace = [str(hop) for hop in denom.trace]
        yield _compare(f"trace of {case['path']!r}", trace, case["trace"] or [])
        yield _compare(f"denom of {case['path']!r}", denom.local_denom, case["ibc_denom"])
        valid = True
        try:
            validate_denom(denom)
        except ChainError:
            valid = False
        yield _compare(f"validity of {case['path']!r}", valid, case["validate_error"] is None)


def _run_packet_data(recorded: dict[str, Any]) -> Iterator[CaseResult]:
    for index, case in enumerate(recorded["ics20_packet_json"]):
        name = f"packet data {index}"
        expected = case.get("amount_value_decimal") if case["unmarshal_error"] is None else None
        try:
            data = decode_packet_data(bytes.fromhex(case["json_hex"]))
        except InvalidTransferAmount as error:
            # Amounts that are not plain decimals: the one place where we refuse more than ibc-go.
            stricter = expected is not None and case["amount"] != expected
            yield CaseResult(name, expected is None, f"{error}, expected {expected}", stricter)
        except ChainError as error:
            is_limit = case.get("v2_validate_basic_error") is not None
            yield CaseResult(name, expected is None or is_limit, f"{error}, expected {expected}")
        else:
            receiver = data.receiver.encode().hex()
            yield _compare(name, (str(data.amount), receiver), (expected, case["receiver_hex"]))
    for index, case in enumerate(recorded["ics20_packet_bytes"]):
        memo = bytes.fromhex(case["memo_hex"]).decode()
        data = TransferData(parse_path("transfer/channel-0/uatom"), 100, "cosmos1s", "osmo1r", memo)
        computed = encode_packet_data(data).decode()
        yield _compare(f"packet bytes {index}", computed, case["bytes_utf8"])


def _run_acknowledgements(recorded: dict[str, Any]) -> Iterator[CaseResult]:
    for index, case in enumerate(recorded["ics20_ack_json"]):
        accepted = True
        try:
            decode_acknowledgement(case["ack_utf8"].encode())
        except InvalidAcknowledgement:
            accepted = False
        expected = case["accepted_by_transfer_onack"]
        yield _compare(f"acknowledgement json {index}", accepted, expected)


def _build_denom(parts: list[str]) -> Denom:
    """A denom of the model: a path in five parts, of which blank pairs in front are left out."""
    start = 0
    while start + 1 < len(parts) and parts[start] == parts[start + 1] == "":
        start += 2
    return parse_path("/".join(parts[start:]))


def _get_address(world: TransferWorld, parts: list[str]) -> str:
    port, channel, name = parts
    if port or channel:
        return compute_escrow_address(port, channel)
    return world.get_address(name) if name else ""


def _read_bank(world: TransferWorld, coins: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    balances: dict[tuple[str, str], int] = {}
    for coin in coins:
        address = _get_address(world, coin["address"])
        denom = _build_denom(coin["denom"])
        if address and denom.base and coin["amount"]:
            key = (address, denom.local_denom)
            balances[key] = balances.get(key, 0) + coin["amount"]
            if denom.trace:
                state.set_denom(world.ctx, denom)
    return balances


def _run_model(name: str, case: dict[str, Any]) -> CaseResult:
    world = TransferWorld()
    before, after = (_read_bank(world, case[key]) for key in ("bankBefore", "bankAfter"))
    for (address, denom), amount in before.items():
        world.fund(address, denom, amount)
    fields = case["packet"]
    data = fields["data"]
    transfer = world.build_transfer(fields, _build_denom(data["denom"]), data)
    failed = False
    try:
        validate_packet(world.build_packet(transfer))
        with world.ctx.branch() as branch:
            application = TransferApplication()
            match case["handler"]:
                case "SendTransfer":
                    handle_transfer(branch, world.build_message(transfer))
                case "OnRecvPacket":
                    application.on_recv_packet(branch, world.build_packet(transfer), "relayer")
                case "OnTimeoutPacket":
                    application.on_timeout_packet(branch, world.build_packet(transfer), "relayer")
                case "OnRecvAcknowledgementResult" | "OnRecvAcknowledgementError" as handler:
                    answer = (
                        SUCCESS
                        if handler.endswith("Result")
                        else encode_error(InvalidTransferAmount())
                    )
                    application.on_acknowledgement_packet(
                        branch, world.build_packet(transfer), answer, "relayer"
                    )
                case other:
                    raise AssertionError(f"unknown handler {other}")
    except ChainError:
        failed = True
    if failed or case["error"]:
        return _compare(f"{name} error", failed, case["error"])
    changed = world.get_changes(before)
    keys = sorted({**before, **after})
    expected = {k: after.get(k, 0) - before.get(k, 0) for k in keys}
    return _compare(name, changed, {k: v for k, v in expected.items() if v})
