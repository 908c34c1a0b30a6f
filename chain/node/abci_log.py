"""The call log of the ABCI server: what a test of the call grammar needs to know."""

import json
import threading
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from chain._pb.tendermint.abci import types_pb2 as abci


class CallLog:
    """An optional record of the calls, one JSON object a line, for tests of the call grammar.

    Keys: call, connection, start_ns, end_ns (monotonic), and what the call has of height, hash,
    app_hash, last_round, txs_hash, results_hash, status, recheck. A process begins with "start".
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._write({"call": "start", "start_ns": time.monotonic_ns()})

    def _write(self, entry: Mapping[str, object]) -> None:
        with self._lock:
            self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")

    def record(
        self, call: str, connection: int, start_ns: int, request: Message, response: Message
    ) -> None:
        """Append one finished call."""
        entry: dict[str, object] = {
            "call": call,
            "connection": connection,
            "start_ns": start_ns,
            "end_ns": time.monotonic_ns(),
        }
        entry.update(_describe_call(request, response))
        self._write(entry)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _hash_txs(txs: list[bytes]) -> str:
    return sha256(b"".join(sha256(tx).digest() for tx in txs)).hexdigest()


def _describe_call(request: Message, response: Message) -> dict[str, object]:
    """What the grammar's stateful rules need to know of one call."""
    found = _describe_request(request)
    match response:
        case abci.ResponsePrepareProposal():
            found["txs_hash"] = _hash_txs(list(response.txs))
        case abci.ResponseProcessProposal():
            found["status"] = abci.ResponseProcessProposal.ProposalStatus.Name(response.status)
        case abci.ResponseFinalizeBlock():
            found["app_hash"] = response.app_hash.hex()
            results = response.SerializeToString(deterministic=True)
            found["results_hash"] = sha256(results).hexdigest()
        case abci.ResponseInfo():
            found["height"] = response.last_block_height
            found["app_hash"] = response.last_block_app_hash.hex()
        case abci.ResponseInitChain():
            found["app_hash"] = response.app_hash.hex()
        case _:
            pass
    return found


def _describe_request(request: Any) -> dict[str, object]:
    found: dict[str, object] = {}
    fields = request.DESCRIPTOR.fields_by_name
    if "height" in fields:
        found["height"] = request.height
    if "hash" in fields:
        found["hash"] = request.hash.hex()
    match request:
        case abci.RequestProcessProposal():
            found["last_round"] = request.proposed_last_commit.round
            found["txs_hash"] = _hash_txs(list(request.txs))
        case abci.RequestFinalizeBlock():
            found["last_round"] = request.decided_last_commit.round
            found["txs_hash"] = _hash_txs(list(request.txs))
        case abci.RequestCheckTx():
            found["recheck"] = request.type == abci.RECHECK
        case _:
            pass
    return found
