"""A tiny key-value application: the smallest honest ABCI 2.0 state machine, for tests of the
shells.

A transaction is `key=value`; `boom` raises in the call named by its value. The app hash is the
SHA-256 of the sorted pairs and the height; the last commit is one JSON file, replaced atomically.
Run as a program: `python -m tests.support.kvstore_app --home HOME`, as marginchaind would be.
"""

import argparse
import json
import signal
import threading
import tomllib
from hashlib import sha256
from pathlib import Path

from chain._pb.tendermint.abci import types_pb2 as abci
from chain.node.abci import AbciServer


class KvStore:
    """Keys and values; vote extensions carry the height when the genesis turns them on."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.height = 0
        self.app_hash = b""
        self.pairs: dict[str, str] = {}
        self._staged: tuple[int, bytes, dict[str, str]] | None = None
        if path is not None and path.exists():
            saved = json.loads(path.read_text())
            self.height, self.pairs = saved["height"], saved["pairs"]
            self.app_hash = bytes.fromhex(saved["app_hash"])

    @staticmethod
    def _hash(pairs: dict[str, str]) -> bytes:
        return sha256(json.dumps(sorted(pairs.items())).encode()).digest()

    def info(self, request: abci.RequestInfo) -> abci.ResponseInfo:
        del request
        return abci.ResponseInfo(
            data="kvstore", last_block_height=self.height, last_block_app_hash=self.app_hash
        )

    def init_chain(self, request: abci.RequestInitChain) -> abci.ResponseInitChain:
        self.pairs = {
            str(k): str(v) for k, v in json.loads(request.app_state_bytes or "{}").items()
        }
        return abci.ResponseInitChain(app_hash=self._hash(self.pairs))

    def query(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        if request.path == "/boom":
            raise RuntimeError("a query that fails")
        value = self.pairs.get(request.data.decode(), "")
        return abci.ResponseQuery(key=request.data, value=value.encode(), height=self.height)

    def check_tx(self, request: abci.RequestCheckTx) -> abci.ResponseCheckTx:
        if request.tx == b"boom=check_tx":
            raise RuntimeError("a check that fails")
        is_valid = b"=" in request.tx
        return abci.ResponseCheckTx(code=0 if is_valid else 2, gas_wanted=1)

    def prepare_proposal(
        self, request: abci.RequestPrepareProposal
    ) -> abci.ResponsePrepareProposal:
        return abci.ResponsePrepareProposal(txs=request.txs)

    def process_proposal(
        self, request: abci.RequestProcessProposal
    ) -> abci.ResponseProcessProposal:
        is_valid = all(b"=" in tx for tx in request.txs)
        status = abci.ResponseProcessProposal.ACCEPT
        return abci.ResponseProcessProposal(
            status=status if is_valid else abci.ResponseProcessProposal.REJECT
        )

    def extend_vote(self, request: abci.RequestExtendVote) -> abci.ResponseExtendVote:
        return abci.ResponseExtendVote(vote_extension=str(request.height).encode())

    def verify_vote_extension(
        self, request: abci.RequestVerifyVoteExtension
    ) -> abci.ResponseVerifyVoteExtension:
        is_valid = request.vote_extension == str(request.height).encode()
        accept = abci.ResponseVerifyVoteExtension.ACCEPT
        return abci.ResponseVerifyVoteExtension(
            status=accept if is_valid else abci.ResponseVerifyVoteExtension.REJECT
        )

    def finalize_block(self, request: abci.RequestFinalizeBlock) -> abci.ResponseFinalizeBlock:
        pairs = dict(self.pairs)
        results = []
        for tx in request.txs:
            if tx == b"boom=finalize_block":
                raise RuntimeError("a block that fails")
            key, _, value = tx.decode().partition("=")
            pairs[key] = value
            results.append(abci.ExecTxResult(gas_wanted=1, gas_used=1))
        app_hash = self._hash(pairs)
        self._staged = (request.height, app_hash, pairs)
        return abci.ResponseFinalizeBlock(tx_results=results, app_hash=app_hash)

    def commit(self, request: abci.RequestCommit) -> abci.ResponseCommit:
        del request
        assert self._staged is not None
        self.height, self.app_hash, self.pairs = self._staged
        self._staged = None
        if self._path is not None:
            saved = {"height": self.height, "app_hash": self.app_hash.hex(), "pairs": self.pairs}
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps(saved))
            draft.replace(self._path)
        return abci.ResponseCommit()

    def list_snapshots(self, request: abci.RequestListSnapshots) -> abci.ResponseListSnapshots:
        del request
        return abci.ResponseListSnapshots()

    def offer_snapshot(self, request: abci.RequestOfferSnapshot) -> abci.ResponseOfferSnapshot:
        del request
        return abci.ResponseOfferSnapshot(result=abci.ResponseOfferSnapshot.REJECT)

    def load_snapshot_chunk(
        self, request: abci.RequestLoadSnapshotChunk
    ) -> abci.ResponseLoadSnapshotChunk:
        del request
        return abci.ResponseLoadSnapshotChunk()

    def apply_snapshot_chunk(
        self, request: abci.RequestApplySnapshotChunk
    ) -> abci.ResponseApplySnapshotChunk:
        del request
        return abci.ResponseApplySnapshotChunk(result=abci.ResponseApplySnapshotChunk.ABORT)


def main() -> None:
    """Serve a home's store at the address of its app.toml until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    home = parser.parse_args().home
    config = tomllib.loads((home / "config" / "app.toml").read_text())
    (home / "data").mkdir(exist_ok=True)
    server = AbciServer(
        KvStore(home / "data" / "kvstore.json"),
        config["abci"]["address"],
        call_log=home / "data" / "calls.jsonl",
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    while not stop.is_set() and not server.wait(0.1):
        pass
    server.stop()


if __name__ == "__main__":
    main()
