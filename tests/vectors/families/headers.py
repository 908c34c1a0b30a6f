"""Header JSON of tendermint-rs: one with a known hash, one of an old chain to write back."""

import json
from collections.abc import Iterator
from pathlib import Path

from chain.client import comet_json
from chain.ibc.client.tendermint_wire import header_from_pb, header_to_pb
from chain.lightclient.encoding import compute_header_hash
from tests.vectors.families import CaseResult

KNOWN_HASH = "F30A71F2409FB15AACAEDB6CC122DFA2525BEE9CAE521721B06BFDCA291B8D56"
HASH_FIELDS = (
    "last_commit_hash",
    "data_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "app_hash",
    "last_results_hash",
    "evidence_hash",
    "proposer_address",
)


def run(folder: Path) -> Iterator[CaseResult]:
    """The hash, and for every file the round trip of each field."""
    for path in sorted((folder / "headers" / "tendermint-rs").glob("*.json")):
        raw = json.loads(path.read_text())
        wire = comet_json.parse_header(raw)
        header = header_from_pb(wire)
        if path.stem == "header_with_known_hash":
            computed = compute_header_hash(header).hex().upper()
            yield CaseResult(f"{path.stem} hash", computed == KNOWN_HASH, computed)
        lost = [name for name in HASH_FIELDS if getattr(header, name).hex().upper() != raw[name]]
        written_ns = comet_json.parse_time_ns(wire.time.ToJsonString())
        read_ns = comet_json.parse_time_ns(raw["time"])
        if str(header.height) != raw["height"] or not written_ns == header.time_ns == read_ns:
            lost.append("height or time")
        if header_from_pb(header_to_pb(header)) != header or header_to_pb(header) != wire:
            lost.append("protobuf")
        yield CaseResult(f"{path.stem} round trip", not lost, f"differs: {lost}")
