"""Header verification against CometBFT's verdicts: model-based traces and edges."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chain.client import comet_json
from chain.errors import ChainError
from chain.ibc.client.tendermint_wire import signed_header_from_pb, validator_from_pb
from chain.lightclient import verifier
from chain.lightclient.types import (
    ONE_THIRD,
    BlockIdFlag,
    Options,
    SignedHeader,
    TrustedState,
    TrustLevel,
    UntrustedBlock,
    ValidatorSet,
)
from chain.lightclient.verifier import Invalid, NotEnoughTrust, Success, Verdict
from chain.units import NANOSECONDS
from tests.vectors.families import CaseResult

DRIFT_MODEL_NS = NANOSECONDS
ABSENT_TIME = "0001-01-01T00:00:00Z"


def run(folder: Path) -> Iterator[CaseResult]:
    """All groups; names start with the file or the class of the case."""
    for path in sorted((folder / "lightclient" / "tendermint-go-mbt").glob("*.json")):
        yield from _run_trace(path, normalise=False)
    for path in sorted((folder / "lightclient" / "tendermint-rs-mbt").glob("*.json")):
        yield from _run_trace(path, normalise=True)
    path = folder / "generated" / "light_verify.json"
    if path.exists():
        for case in json.loads(path.read_text()):
            yield from _run_case(case)


def read_signed_header(raw: dict[str, Any], *, normalise: bool) -> SignedHeader:
    """A signed header of a trace; `normalise` drops what absent slots carry."""
    header = dict(raw["header"])
    header["last_block_id"] = header["last_block_id"] or {}
    commit = dict(raw["commit"])
    signatures = []
    for slot in commit["signatures"]:
        filled = {"validator_address": None, "timestamp": ABSENT_TIME, "signature": None, **slot}
        if normalise and slot["block_id_flag"] == BlockIdFlag.ABSENT:
            filled |= {"validator_address": None, "timestamp": ABSENT_TIME, "signature": None}
        filled["timestamp"] = filled["timestamp"] or ABSENT_TIME
        signatures.append(filled)
    commit["signatures"] = signatures
    return signed_header_from_pb(
        comet_json.parse_signed_header({"header": header, "commit": commit})
    )


def read_validators(raw: dict[str, Any], *, normalise: bool) -> ValidatorSet:
    """A validator set of a trace; `normalise` sorts it canonically."""
    validators = [validator_from_pb(comet_json.parse_validator(item)) for item in raw["validators"]]
    if normalise:
        validators.sort(key=lambda v: (-v.voting_power, v.address))
    return ValidatorSet(tuple(validators))


def trust(signed_header: SignedHeader, next_validators: ValidatorSet) -> TrustedState:
    """The trusted state after accepting a header."""
    header = signed_header.header
    return TrustedState(
        header.chain_id,
        header.height,
        header.time_ns,
        header.next_validators_hash,
        next_validators,
    )


def _name(verdict: Verdict) -> str:
    match verdict:
        case Success():
            return "SUCCESS"
        case NotEnoughTrust():
            return "NOT_ENOUGH_TRUST"
        case Invalid():
            return "INVALID"


def _judge_step(
    trusted: TrustedState, step: dict[str, Any], options: Options, *, normalise: bool
) -> Verdict | Exception:
    """The verdict, or what reading the block raised: a block that cannot be read is invalid."""
    try:
        block = step["block"]
        untrusted = UntrustedBlock(
            read_signed_header(block["signed_header"], normalise=normalise),
            read_validators(block["validator_set"], normalise=normalise),
        )
    except (ChainError, ValueError) as error:
        return error
    return verifier.verify(trusted, untrusted, options, comet_json.parse_time_ns(step["now"]))


def _run_steps(
    name: str, case: dict[str, Any], options: Options, *, normalise: bool
) -> Iterator[CaseResult]:
    initial = case["initial"]
    trusted = trust(
        read_signed_header(initial["signed_header"], normalise=normalise),
        read_validators(initial["next_validator_set"], normalise=normalise),
    )
    for index, step in enumerate(case["input"]):
        verdict = _judge_step(trusted, step, options, normalise=normalise)
        judged = "INVALID" if isinstance(verdict, Exception) else _name(verdict)
        if judged == "SUCCESS" and "next_validator_set" in step["block"]:
            block = step["block"]
            trusted = trust(
                read_signed_header(block["signed_header"], normalise=normalise),
                read_validators(block["next_validator_set"], normalise=normalise),
            )
        yield CaseResult(
            name=f"{name} step {index}",
            agree=judged == step["verdict"],
            detail=f"expected {step['verdict']}, judged {judged} ({verdict})",
        )


def _run_trace(path: Path, *, normalise: bool) -> Iterator[CaseResult]:
    case = json.loads(path.read_text())
    options = Options(ONE_THIRD, int(case["initial"]["trusting_period"]), DRIFT_MODEL_NS)
    yield from _run_steps(f"{path.parent.name}/{path.stem}", case, options, normalise=normalise)


def _run_case(case: dict[str, Any]) -> Iterator[CaseResult]:
    numerator, denominator = (int(term) for term in case["trust_level"])
    options = Options(
        TrustLevel(numerator, denominator),
        int(case["initial"]["trusting_period"]),
        int(case["max_clock_drift_ns"]),
    )
    yield from _run_steps(f"{case['class']}: {case['description']}", case, options, normalise=False)
