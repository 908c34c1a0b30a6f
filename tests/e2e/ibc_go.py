"""A real ibc-go chain as counterparty: one simd node, seen as two-chain tests see a chain.

The binary is the one of the interop scenarios: $SIMD_BIN, or what `make interop` built and cached;
MARGIN_SIMD names another for these tests alone.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.ics23.v1 import proofs_pb2
from chain._pb.ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from chain._pb.ibc.core.channel.v1 import channel_pb2
from chain._pb.ibc.core.commitment.v1 import commitment_pb2
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain._pb.tendermint.abci import types_pb2 as abci
from chain.client import comet_json
from chain.client.transaction import Fee, SignerState, sign_transaction
from chain.client.wallet import Wallet
from chain.ibc import host
from chain.ibc.client.membership import Proof
from chain.ibc.client.tendermint_wire import signed_header_from_pb, validator_set_from_pb
from chain.ibc.height import Height
from localnet.actors import ACTORS
from localnet.interop.binaries import find_simd
from localnet.network import is_port_free, list_candidate_ports
from tests.twochain.chain import Clock, TxRefused
from tests.twochain.path import Endpoint

SIMD = os.environ.get("MARGIN_SIMD") or str(find_simd() or "")
CHAIN_ID = "ibc-0"
BASE = "samoleans"
# BIP-39 test vectors: worth nothing.
VALIDATOR_WORDS = " ".join(["abandon"] * 11 + ["about"])
USER_WORDS = "letter advice cage absurd amount doctor acoustic avoid letter advice cage above"
RELAYER = Wallet.from_private_key(ACTORS["relayer"].wallet.private_key, "cosmos")
_FREE_PORTS = (port for port in list_candidate_ports() if is_port_free(port))
PORTS = {name: next(_FREE_PORTS) for name in ("rpc", "p2p", "grpc")}


class SimdNode:
    """One simd process over a fresh home, on loopback."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._run("init", "val", "--chain-id", CHAIN_ID)
        for name, words in (("val", VALIDATOR_WORDS), ("usr", USER_WORDS)):
            self._run("keys", "add", name, "--recover", *self._keyring, text=words)
            self._endow(self._run("keys", "show", name, "-a", *self._keyring).strip())
        self._endow(RELAYER.address)
        self._run(
            "genesis", "gentx", "val", "70000000000stake", "--chain-id", CHAIN_ID, *self._keyring
        )
        self._run("genesis", "collect-gentxs")
        self._configure()
        with (home / "log").open("w") as log:
            self.process = subprocess.Popen(
                [SIMD, "start", "--home", str(home)], stdout=log, stderr=subprocess.STDOUT
            )

    _keyring = ("--keyring-backend", "test")

    def _run(self, *arguments: str, text: str = "") -> str:
        result = subprocess.run(
            [SIMD, *arguments, "--home", str(self.home)],
            input=text + "\n",
            capture_output=True,
            text=True,
            check=True,
        )
        return result.stdout

    def _endow(self, address: str) -> None:
        coins = "100000000000stake,100000000000samoleans"
        self._run("genesis", "add-genesis-account", address, coins)

    def _configure(self) -> None:
        for name, changes in (
            (
                "config.toml",
                (
                    (
                        r'laddr = "tcp://127.0.0.1:26657"',
                        f'laddr = "tcp://127.0.0.1:{PORTS["rpc"]}"',
                    ),
                    (r'laddr = "tcp://0.0.0.0:26656"', f'laddr = "tcp://127.0.0.1:{PORTS["p2p"]}"'),
                    (r"pprof_laddr = .*", 'pprof_laddr = ""'),
                    (r"timeout_commit = .*", 'timeout_commit = "300ms"'),
                    (r"pex = true", "pex = false"),
                ),
            ),
            (
                "app.toml",
                (
                    (r"minimum-gas-prices = .*", 'minimum-gas-prices = "0stake"'),
                    (r'address = "localhost:9090"', f'address = "127.0.0.1:{PORTS["grpc"]}"'),
                ),
            ),
        ):
            path = self.home / "config" / name
            text = path.read_text()
            for pattern, replacement in changes:
                text = re.sub(f"(?m)^{pattern}$", replacement, text)
            path.write_text(text)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def call(method: str, **params: Any) -> Any:
    """A JSON-RPC call of the node; raises RuntimeError with its error."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORTS['rpc']}", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.load(response)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]


class WallClock(Clock):
    """The time of this machine, since the other chain lives in it; never twice the same."""

    def __init__(self) -> None:
        self._last_ns = 0

    @property
    def now_ns(self) -> int:  # type: ignore[override]
        return max(self._last_ns, time.time_ns() - 2 * 10**9)

    @now_ns.setter
    def now_ns(self, value: int) -> None:
        self._last_ns = value


class SimdChain:
    """The chain behind the node, with what an Endpoint asks of a chain."""

    chain_id = CHAIN_ID

    def __init__(self) -> None:
        wallet = Wallet.from_mnemonic(USER_WORDS, prefix="cosmos")
        self.wallet, self.accounts = wallet, {"alice": wallet}
        self.sequence = 0
        self.height = 0
        self.headers = self
        self.next_block()

    def _status_height(self) -> int:
        return int(call("status")["sync_info"]["latest_block_height"])

    def next_block(self) -> None:
        """Wait until a later header, and the one after it, exist."""
        start = self._wait_for(1)
        self.height = start + 1
        self._wait_for(start + 3)

    def _wait_for(self, height: int) -> int:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                reached = self._status_height()
            except OSError:
                reached = 0
            if reached >= height:
                return reached
            time.sleep(0.1)
        raise TimeoutError(f"height {height} did not come")

    def at(self, height: int) -> Any:
        """The block at a height, as tests.support.headers.TestBlock shows one."""
        raw = call("commit", height=str(height))["signed_header"]
        signed_header = signed_header_from_pb(comet_json.parse_signed_header(raw))
        return SimpleNamespace(
            signed_header=signed_header,
            header=signed_header.header,
            validators=self._get_validators(height),
            next_validators=self._get_validators(height + 1),
        )

    def _get_validators(self, height: int) -> Any:
        raw = call("validators", height=str(height))["validators"]
        message = comet_json.build_validator_set([comet_json.parse_validator(v) for v in raw])
        return SimpleNamespace(validators=validator_set_from_pb(message))

    @property
    def latest_block(self) -> Any:
        return self.at(self.height)

    @property
    def latest_height(self) -> Height:
        return Height(0, self.height)

    def query(self, path: bytes, height: int) -> abci.ResponseQuery:
        raw = call(
            "abci_query", path="store/ibc/key", data=path.hex(), height=str(height), prove=True
        )
        return comet_json.parse_query_result(raw["response"])

    def read(self, path: bytes) -> bytes:
        return self.query(path, 0).value

    def prove(self, path: bytes) -> Proof:
        ops = self.query(path, self.height - 1).proof_ops.ops
        message = commitment_pb2.MerkleProof(
            proofs=[proofs_pb2.CommitmentProof.FromString(op.data) for op in ops]
        )
        return Proof(message.SerializeToString(deterministic=True), self.latest_height)

    def deliver(self, *messages: Message) -> abci.ExecTxResult:
        """Commit the messages in one transaction; raises TxRefused when it failed."""
        signer = SignerState(CHAIN_ID, 1, self.sequence)
        raw = sign_transaction(self.wallet, messages, signer, Fee(3_000_000))
        answer = call("broadcast_tx_sync", tx=base64.b64encode(raw).decode())
        assert answer["code"] == 0, answer
        self.sequence += 1
        name = base64.b64encode(hashlib.sha256(raw).digest()).decode()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                result = comet_json.parse_tx_result(call("tx", hash=name)["tx_result"])
            except RuntimeError:
                continue  # Not in a block yet.
            if result.code:
                raise TxRefused(result)
            return result
        raise TimeoutError("transaction not included")


class SimdEndpoint(Endpoint):
    """An endpoint whose chain is read over RPC."""

    def get_client_height(self) -> Height:
        stored = self.chain.read(host.client_state_path(self.client_id))
        client = tendermint_pb2.ClientState.FromString(AnyMessage.FromString(stored).value)
        return Height.from_proto(client.latest_height)

    def get_channel(self) -> channel_pb2.Channel:
        return channel_pb2.Channel.FromString(
            self.chain.read(host.channel_path(self.port_id, self.channel_id))
        )


def get_balance(address: str, denom: str = BASE) -> int:
    """What an address holds on simd."""
    request = bank_query.QueryBalanceRequest(address=address, denom=denom)
    raw = call(
        "abci_query",
        path="/cosmos.bank.v1beta1.Query/Balance",
        data=request.SerializeToString().hex(),
    )
    value = comet_json.parse_query_result(raw["response"]).value
    return int(bank_query.QueryBalanceResponse.FromString(value).balance.amount)


def transfer(
    chain: SimdChain,
    channel_id: str,
    receiver: str,
    amount: int,
    *,
    memo: str = "",
    denom: str = BASE,
    timeout_s: int = 600,
) -> abci.ExecTxResult:
    """A transfer that ibc-go's own module sends; raises TxRefused."""
    message = transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel=channel_id,
        token=coin_pb2.Coin(denom=denom, amount=str(amount)),
        sender=chain.wallet.address,
        receiver=receiver,
        timeout_height=Height().to_proto(),
        timeout_timestamp=time.time_ns() + timeout_s * 10**9,
        memo=memo,
    )
    return chain.deliver(message)


def build_memo(owner: str, account: int = 0) -> str:
    """The instruction that makes a transfer a deposit."""
    return json.dumps({"margin": {"deposit": {"owner": owner, "account": account}}})
