"""Answers of a real CometBFT node: every hash recomputes and every signature verifies."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from chain.client import comet_json
from chain.ibc.client.tendermint_wire import commit_from_pb, header_from_pb, validator_from_pb
from chain.lightclient.ed25519 import verify_signature
from chain.lightclient.encoding import (
    CommitSignBytes,
    compute_commit_hash,
    compute_consensus_params_hash,
    compute_header_hash,
    compute_validators_hash,
)
from chain.lightclient.types import BlockIdFlag, Commit, Validator, ValidatorSet
from chain.merkle.simple import compute_root
from tests.vectors.families import CaseResult

Json = dict[str, Any]


def run(folder: Path) -> Iterator[CaseResult]:
    """Blocks, commits, headers, genesis, status and parameters of rpc/."""
    for group in sorted((folder / "rpc").glob("*")):
        genesis = _load(group / "genesis.json")["genesis"]
        validators = ValidatorSet(
            tuple(
                validator_from_pb(comet_json.parse_validator({**v, "voting_power": v["power"]}))
                for v in genesis["validators"]
            )
        )
        for path in sorted(group.glob("block_*.json")):
            result = _load(path)
            if "block" in result:
                yield from _check_block(path.stem, result, validators)
        yield from _check_commit(_load(group / "commit_at_height_10.json"), validators)
        for meta in _load(group / "blockchain_from_1_to_10.json")["block_metas"]:
            name = f"blockchain height {meta['header']['height']} hash"
            yield _check_header_hash(name, meta["header"], meta["block_id"])
        yield _check_params(group, genesis)
        yield _check_status(_load(group / "status.json"))


def _load(path: Path) -> Json:
    return json.loads(path.read_text())["result"]


def _check_header_hash(name: str, raw_header: Json, raw_block_id: Json) -> CaseResult:
    computed = compute_header_hash(header_from_pb(comet_json.parse_header(raw_header)))
    computed_hex = computed.hex().upper()
    return CaseResult(name, computed_hex == raw_block_id["hash"], f"computed {computed_hex}")


def _check_hash(name: str, computed: bytes, expected: str) -> CaseResult:
    return CaseResult(name, computed.hex().upper() == expected, f"computed {computed.hex()}")


def _check_votes(
    name: str, chain_id: str, commit: Commit, by_address: dict[bytes, Validator]
) -> Iterator[CaseResult]:
    sign_bytes = CommitSignBytes(chain_id, commit)
    for slot, sig in enumerate(commit.signatures):
        validator = by_address.get(sig.validator_address)
        if sig.block_id_flag != BlockIdFlag.COMMIT or validator is None:
            continue
        valid = verify_signature(validator.public_key, sign_bytes.encode(sig), sig.signature)
        yield CaseResult(f"{name} vote {slot}", valid, "signature does not verify")


def _check_block(name: str, result: Json, validators: ValidatorSet) -> Iterator[CaseResult]:
    block = result["block"]
    header = block["header"]
    yield _check_header_hash(f"{name} hash", header, result["block_id"])
    txs = [comet_json.parse_bytes(tx) for tx in block["data"]["txs"] or ()]
    data_hash = compute_root([sha256(tx).digest() for tx in txs])
    yield _check_hash(f"{name} data_hash", data_hash, header["data_hash"])
    evidence = [comet_json.parse_evidence(e) for e in block["evidence"]["evidence"] or ()]
    evidence_hash = compute_root([e.SerializeToString(deterministic=True) for e in evidence])
    yield _check_hash(f"{name} evidence_hash", evidence_hash, header["evidence_hash"])
    commit = commit_from_pb(comet_json.parse_commit(block["last_commit"]))
    commit_hash = compute_commit_hash(commit)
    yield _check_hash(f"{name} last_commit_hash", commit_hash, header["last_commit_hash"])
    by_address = {v.address: v for v in validators.validators}
    yield from _check_votes(f"{name} last_commit", header["chain_id"], commit, by_address)


def _check_commit(result: Json, validators: ValidatorSet) -> Iterator[CaseResult]:
    signed = result["signed_header"]
    yield _check_header_hash("commit hash", signed["header"], signed["commit"]["block_id"])
    named = signed["header"]["validators_hash"]
    yield _check_hash("genesis validators", compute_validators_hash(validators), named)
    commit = commit_from_pb(comet_json.parse_commit(signed["commit"]))
    by_address = {v.address: v for v in validators.validators}
    votes = list(_check_votes("commit", signed["header"]["chain_id"], commit, by_address))
    yield CaseResult("commit votes found", len(votes) == len(commit.signatures), f"{len(votes)}")
    yield from votes


def _check_params(group: Path, genesis: Json) -> CaseResult:
    params = _load(group / "consensus_params.json")["consensus_params"]
    block = comet_json.parse_consensus_params(params).block
    computed = compute_consensus_params_hash(block.max_bytes, block.max_gas)
    header = _load(group / "commit_at_height_10.json")["signed_header"]["header"]
    agree = computed.hex().upper() == header["consensus_hash"]
    agree = agree and genesis["consensus_params"]["block"] == params["block"]
    return CaseResult("consensus_params hash", agree, f"computed {computed.hex()}")


def _check_status(result: Json) -> CaseResult:
    raw = result["validator_info"]
    validator = validator_from_pb(comet_json.parse_validator(raw))
    address = validator.address.hex().upper()
    return CaseResult("status validator address", address == raw["address"], address)
