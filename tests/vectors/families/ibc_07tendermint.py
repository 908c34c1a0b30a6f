"""Updates and misbehaviour of 07-tendermint clients as ibc-go judges and stores them.

After each message the verdict, the status, the latest height and every byte under the client's
prefix of the store must be those that ibc-go left (generated/ibc_07tendermint).
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage

from chain.errors import ChainError
from chain.ibc.client import handlers, state, tendermint
from chain.runtime.context import Context
from chain.runtime.store import Branch, EmptyState
from tests.vectors.families import CaseResult

CLIENT_ID = "07-tendermint-0"
HOST_CHAIN_ID = "host-1"


def run(folder: Path) -> Iterator[CaseResult]:
    """A case for each step of each scenario."""
    recorded = json.loads((folder / "generated" / "ibc_07tendermint.json").read_text())
    for number, scenario in enumerate(recorded["scenarios"]):
        store = _create(scenario)
        for index, step in enumerate(scenario["steps"]):
            ctx = _context(store, int(step["block_time_ns"]), step["host_height"])
            detail = _judge(ctx, step)
            yield CaseResult(f"scenario {number} step {index} {step['what']}", not detail, detail)


def _context(store: Branch, time_ns: int, height: int) -> Context:
    return Context(chain_id=HOST_CHAIN_ID, height=height, time_ns=time_ns, store=store)


def _parse_time(text: str) -> int:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 10**9 + int(fraction.ljust(9, "0") or "0")


def _create(scenario: dict[str, Any]) -> Branch:
    store = Branch(EmptyState())
    ctx = _context(store, _parse_time(scenario["host_time_at_init"]), scenario["host_height"])
    client = state.ClientState.FromString(bytes.fromhex(scenario["client_state_pb"]))
    consensus = state.ConsensusState.FromString(
        bytes.fromhex(scenario["initial_consensus_state_pb"])
    )
    tendermint.validate_client_state(client)
    tendermint.validate_consensus_state(consensus)
    params = state.get_params(ctx)
    params.allowed_clients.append(state.CLIENT_TYPE)
    state.set_params(ctx, params)
    tendermint.initialize(ctx, CLIENT_ID, client, consensus)
    return store


def _judge(ctx: Context, step: dict[str, Any]) -> str:
    """What differs from ibc-go, or an empty text."""
    outcome, error = _apply(ctx, step)
    # Stateless and stateful refusals are one here, as the manifest allows.
    expected = {"REJECT_BASIC": "REJECT", "REJECT_VERIFY": "REJECT"}.get(
        step["outcome"], step["outcome"]
    )
    if outcome != expected:
        return f"outcome {outcome} ({error}), expected {step['outcome']}"
    status = state.get_status(ctx, CLIENT_ID).value
    if status != step["status_after"]:
        return f"status {status}, expected {step['status_after']}"
    latest = str(state.get_latest_height(ctx, CLIENT_ID))
    if latest != step["latest_height_after"]:
        return f"latest height {latest}, expected {step['latest_height_after']}"
    prefix = f"clients/{CLIENT_ID}/".encode()
    stored = sorted(
        f"{key.removeprefix(prefix).hex()}={value.hex()}"
        for key, value in ctx.kv("ibc").iterate(prefix)
    )
    differing = sorted(set(stored) ^ set(step["client_store_after"]))
    return f"store differs: {differing[:4]}" if differing else ""


def _apply(ctx: Context, step: dict[str, Any]) -> tuple[str, ChainError | None]:
    if state.get_status(ctx, CLIENT_ID) is not state.Status.ACTIVE:
        return "REJECT_INACTIVE", None
    packed = AnyMessage(type_url=step["msg_type_url"], value=bytes.fromhex(step["msg_pb"]))
    try:
        with ctx.branch() as branch:
            handlers.apply_client_message(branch, CLIENT_ID, packed)
    except ChainError as error:
        return "REJECT", error
    if state.get_status(ctx, CLIENT_ID) is state.Status.FROZEN:
        return "FROZEN", None
    return ("NOOP" if packed.type_url == tendermint.MISBEHAVIOUR_URL else "UPDATED"), None
