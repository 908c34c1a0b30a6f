"""CometBFT's JSON, as its RPC answers with it, turned into protobuf messages of the same content.

Hashes and addresses are hexadecimal, other bytes base64, 64-bit integers texts, times RFC 3339
(CometBFT v0.38 rpc/openapi). Every function raises KeyError, TypeError or ValueError on another
shape; the RPC client turns those into MalformedAnswer.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from chain._pb.tendermint.abci import types_pb2 as abci
from chain._pb.tendermint.crypto import keys_pb2, proof_pb2
from chain._pb.tendermint.types import (
    block_pb2,
    evidence_pb2,
    params_pb2,
    types_pb2,
    validator_pb2,
)
from chain._pb.tendermint.version import types_pb2 as version_pb2
from chain.units import NANOSECONDS

Json = Mapping[str, Any]

_PUBLIC_KEY_FIELD = {
    "tendermint/PubKeyEd25519": "ed25519",
    "tendermint/PubKeySecp256k1": "secp256k1",
}


def parse_bytes(text: str | None) -> bytes:
    """The bytes of a base64 text; null is empty."""
    return base64.b64decode(text, validate=True) if text else b""


def parse_hex(text: str | None) -> bytes:
    """The bytes of a hexadecimal text; null is empty."""
    return bytes.fromhex(text) if text else b""


def parse_time(text: str) -> Timestamp:
    """The protobuf time of an RFC 3339 text, to the nanosecond."""
    time = Timestamp()
    time.FromJsonString(text)
    return time


def parse_time_ns(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 text."""
    time = parse_time(text)
    return time.seconds * NANOSECONDS + time.nanos


def parse_public_key(raw: Json) -> keys_pb2.PublicKey:
    """A consensus public key."""
    return keys_pb2.PublicKey(**{_PUBLIC_KEY_FIELD[raw["type"]]: parse_bytes(raw["value"])})


def parse_block_id(raw: Json) -> types_pb2.BlockID:
    """A block id; the zero id has empty hashes."""
    parts = raw.get("parts") or raw.get("part_set_header") or {}
    return types_pb2.BlockID(
        hash=parse_hex(raw.get("hash")),
        part_set_header=types_pb2.PartSetHeader(
            total=int(parts.get("total", 0)), hash=parse_hex(parts.get("hash"))
        ),
    )


def parse_header(raw: Json) -> types_pb2.Header:
    """A block header."""
    version = raw["version"]
    return types_pb2.Header(
        version=version_pb2.Consensus(
            block=int(version.get("block", 0)), app=int(version.get("app", 0))
        ),
        chain_id=raw["chain_id"],
        height=int(raw["height"]),
        time=parse_time(raw["time"]),
        last_block_id=parse_block_id(raw["last_block_id"]),
        last_commit_hash=parse_hex(raw["last_commit_hash"]),
        data_hash=parse_hex(raw["data_hash"]),
        validators_hash=parse_hex(raw["validators_hash"]),
        next_validators_hash=parse_hex(raw["next_validators_hash"]),
        consensus_hash=parse_hex(raw["consensus_hash"]),
        app_hash=parse_hex(raw["app_hash"]),
        last_results_hash=parse_hex(raw["last_results_hash"]),
        evidence_hash=parse_hex(raw["evidence_hash"]),
        proposer_address=parse_hex(raw["proposer_address"]),
    )


def parse_commit(raw: Json) -> types_pb2.Commit:
    """A commit with one signature slot a validator; absent slots keep CometBFT's zero time."""
    return types_pb2.Commit(
        height=int(raw["height"]),
        round=int(raw["round"]),
        block_id=parse_block_id(raw["block_id"]),
        signatures=[
            types_pb2.CommitSig(
                block_id_flag=validator_pb2.BlockIDFlag.Name(int(slot["block_id_flag"])),
                validator_address=parse_hex(slot["validator_address"]),
                timestamp=parse_time(slot["timestamp"]),
                signature=parse_bytes(slot["signature"]),
            )
            for slot in raw["signatures"] or ()
        ],
    )


def parse_signed_header(raw: Json) -> types_pb2.SignedHeader:
    """A header with the commit that signed it."""
    return types_pb2.SignedHeader(
        header=parse_header(raw["header"]), commit=parse_commit(raw["commit"])
    )


def parse_validator(raw: Json) -> validator_pb2.Validator:
    """A validator with its power and proposer priority."""
    return validator_pb2.Validator(
        address=parse_hex(raw["address"]),
        pub_key=parse_public_key(raw["pub_key"]),
        voting_power=int(raw["voting_power"]),
        proposer_priority=int(raw.get("proposer_priority") or 0),
    )


def build_validator_set(
    validators: Sequence[validator_pb2.Validator],
) -> validator_pb2.ValidatorSet:
    """The set of the validators in CometBFT's order, proposer by highest priority, total power."""
    result = validator_pb2.ValidatorSet(
        validators=validators, total_voting_power=sum(v.voting_power for v in validators)
    )
    if validators:
        # CometBFT: the highest priority proposes; the lower address wins a tie.
        proposer = min(validators, key=lambda v: (-v.proposer_priority, v.address))
        result.proposer.CopyFrom(proposer)
    return result


def _parse_vote(raw: Json) -> types_pb2.Vote:
    return types_pb2.Vote(
        type=types_pb2.SignedMsgType.Name(int(raw["type"])),
        height=int(raw["height"]),
        round=int(raw["round"]),
        block_id=parse_block_id(raw["block_id"]),
        timestamp=parse_time(raw["timestamp"]),
        validator_address=parse_hex(raw["validator_address"]),
        validator_index=int(raw["validator_index"]),
        signature=parse_bytes(raw["signature"]),
        extension=parse_bytes(raw.get("extension")),
        extension_signature=parse_bytes(raw.get("extension_signature")),
    )


def parse_evidence(raw: Json) -> evidence_pb2.Evidence:
    """Evidence of a double vote or of an attack on light clients."""
    kind, value = raw["type"], raw["value"]
    if kind == "tendermint/DuplicateVoteEvidence":
        duplicate = evidence_pb2.DuplicateVoteEvidence(
            vote_a=_parse_vote(value["vote_a"]),
            vote_b=_parse_vote(value["vote_b"]),
            total_voting_power=int(value["TotalVotingPower"]),
            validator_power=int(value["ValidatorPower"]),
            timestamp=parse_time(value["Timestamp"]),
        )
        return evidence_pb2.Evidence(duplicate_vote_evidence=duplicate)
    if kind != "tendermint/LightClientAttackEvidence":
        raise ValueError(f"unknown evidence type {kind!r}")
    block = value["ConflictingBlock"]
    attack = evidence_pb2.LightClientAttackEvidence(
        conflicting_block=types_pb2.LightBlock(
            signed_header=parse_signed_header(block["signed_header"]),
            validator_set=build_validator_set(
                [parse_validator(v) for v in block["validator_set"]["validators"]]
            ),
        ),
        common_height=int(value["CommonHeight"]),
        byzantine_validators=[parse_validator(v) for v in value["ByzantineValidators"] or ()],
        total_voting_power=int(value["TotalVotingPower"]),
        timestamp=parse_time(value["Timestamp"]),
    )
    return evidence_pb2.Evidence(light_client_attack_evidence=attack)


def parse_block(raw: Json) -> block_pb2.Block:
    """A whole block; the first block has no last commit."""
    result = block_pb2.Block(
        header=parse_header(raw["header"]),
        data=types_pb2.Data(txs=[parse_bytes(tx) for tx in raw["data"]["txs"] or ()]),
        evidence=evidence_pb2.EvidenceList(
            evidence=[parse_evidence(item) for item in raw["evidence"]["evidence"] or ()]
        ),
    )
    if raw.get("last_commit"):
        result.last_commit.CopyFrom(parse_commit(raw["last_commit"]))
    return result


def parse_event(raw: Json) -> abci.Event:
    """An ABCI event."""
    return abci.Event(
        type=raw["type"],
        attributes=[
            abci.EventAttribute(
                key=item["key"], value=item.get("value") or "", index=bool(item.get("index"))
            )
            for item in raw.get("attributes") or ()
        ],
    )


def parse_tx_result(raw: Json) -> abci.ExecTxResult:
    """The result of one executed transaction."""
    return abci.ExecTxResult(
        code=int(raw.get("code") or 0),
        data=parse_bytes(raw.get("data")),
        log=raw.get("log") or "",
        info=raw.get("info") or "",
        gas_wanted=int(raw.get("gas_wanted") or 0),
        gas_used=int(raw.get("gas_used") or 0),
        events=[parse_event(event) for event in raw.get("events") or ()],
        codespace=raw.get("codespace") or "",
    )


def parse_query_result(raw: Json) -> abci.ResponseQuery:
    """The answer of the application to an ABCI query, with its proof operations."""
    result = abci.ResponseQuery(
        code=int(raw.get("code") or 0),
        log=raw.get("log") or "",
        info=raw.get("info") or "",
        index=int(raw.get("index") or 0),
        key=parse_bytes(raw.get("key")),
        value=parse_bytes(raw.get("value")),
        height=int(raw.get("height") or 0),
        codespace=raw.get("codespace") or "",
    )
    proof = raw.get("proofOps") or raw.get("proof_ops")
    if proof:
        result.proof_ops.CopyFrom(
            proof_pb2.ProofOps(
                ops=[
                    proof_pb2.ProofOp(
                        type=op["type"], key=parse_bytes(op["key"]), data=parse_bytes(op["data"])
                    )
                    for op in proof["ops"] or ()
                ]
            )
        )
    return result


def parse_consensus_params(raw: Json) -> params_pb2.ConsensusParams:
    """The consensus parameters in force at a height."""
    block, evidence = raw["block"], raw["evidence"]
    result = params_pb2.ConsensusParams(
        block=params_pb2.BlockParams(
            max_bytes=int(block["max_bytes"]), max_gas=int(block["max_gas"])
        ),
        evidence=params_pb2.EvidenceParams(
            max_age_num_blocks=int(evidence["max_age_num_blocks"]),
            max_bytes=int(evidence["max_bytes"]),
        ),
        validator=params_pb2.ValidatorParams(pub_key_types=raw["validator"]["pub_key_types"]),
        version=params_pb2.VersionParams(app=int((raw.get("version") or {}).get("app") or 0)),
        abci=params_pb2.ABCIParams(
            vote_extensions_enable_height=int(
                (raw.get("abci") or {}).get("vote_extensions_enable_height") or 0
            )
        ),
    )
    result.evidence.max_age_duration.FromNanoseconds(int(evidence["max_age_duration"]))
    return result
