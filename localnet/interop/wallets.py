"""The wallet libraries as their users run them: CosmJS under Node.js, cosmpy in its own Python."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from localnet.actors import ACTORS
from localnet.cometbft import Progress, get_cache_path
from localnet.interop.binaries import BinaryNotFound
from localnet.interop.scenario import ScenarioFailed, require
from localnet.interop.sides import Side

CLIENTS: Final = Path(__file__).resolve().parents[2] / "clients"
TYPESCRIPT: Final = CLIENTS / "typescript"
COSMPY: Final = "cosmpy==0.12.2"
_RUN_TIMEOUT_S: Final = 120
_INSTALL_TIMEOUT_S: Final = 300
_SENT_BY_COSMJS: Final = 7
_SENT_BY_COSMPY: Final = 5


def find_node() -> str:
    """Node.js, with the npm package built; raises BinaryNotFound with the remedy."""
    node = shutil.which("node")
    if node is None:
        raise BinaryNotFound("CosmJS needs Node.js 20 or newer: install it")
    if not (TYPESCRIPT / "dist" / "index.js").exists():
        raise BinaryNotFound("the npm package is not built: run `make typescript`")
    return node


def ensure_cosmpy(progress: Progress = lambda _: None) -> Path:
    """The interpreter of an environment with cosmpy, made once; raises BinaryNotFound."""
    home = get_cache_path().parents[2] / COSMPY.replace("==", "-")
    interpreter = home / "bin" / "python"
    done = home / "installed"
    if done.exists():
        return interpreter
    progress(f"installing {COSMPY} into an environment of its own")
    uv = str(Path(sys.executable).with_name("uv"))
    for command in (
        [uv, "venv", "-q", "--clear", "--python", sys.executable, str(home)],
        [uv, "pip", "install", "-q", "--python", str(interpreter), COSMPY],
    ):
        made = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S
        )
        if made.returncode:
            raise BinaryNotFound(f"{COSMPY} cannot be installed: {made.stderr[-300:]}")
    done.touch()
    return interpreter


def run_program(
    command: Sequence[str | Path], name: str, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What a program printed as JSON, signing as a named account; raises ScenarioFailed."""
    kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    kept |= {"MNEMONIC": ACTORS[name].mnemonic, "no_proxy": "127.0.0.1", **(environment or {})}
    ran = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=_RUN_TIMEOUT_S, env=kept
    )
    what = Path(command[1]).name
    if ran.returncode:
        raise ScenarioFailed(f"{what}: {ran.stderr[-1_000:]}")
    seen: dict[str, Any] = json.loads(ran.stdout)
    return seen


def use_cosmjs(side: Side, name: str = "faucet") -> str:
    """CosmJS connects, reads, simulates, sends, waits and queries over RPC."""
    program = TYPESCRIPT / "examples" / "account.mjs"
    receiver = side.get_address("alice")
    command: list[str | Path] = [
        find_node(),
        program,
        side.rpc_url,
        side.prefix,
        side.fee_denom,
        receiver,
    ]
    seen = run_program(command, name)
    require(seen["chainId"] == side.chain_id, f"getChainId: {seen['chainId']}")
    require(seen["address"] == side.get_address(name), f"getAccounts: {seen['address']}")
    require(seen["code"] == 0, f"sendTokens: code {seen['code']}")
    require(seen["received"] == _SENT_BY_COSMJS, f"getBalance: {seen['received']} more")
    require(seen["simulated"] > 0 and seen["gasUsed"] > 0, "simulate: no gas")
    require(seen["foundHeight"] == seen["txHeight"], f"getTx: height {seen['foundHeight']}")
    require(seen["bySender"], "searchTx: the transaction is not found by its sender")
    require(seen["unknownAccount"] is None, "getAccount: an unknown account is not null")
    require(seen["refusedCode"] != 0, "sendTokens: more than there is was sent")
    require(seen["sequenceAfter"] == seen["sequence"] + 2, "getAccount: sequence is not two more")
    return f"sent, found at height {seen['txHeight']}, {seen['gasUsed']} gas"


def use_cosmpy(side: Side, transport: str, name: str = "carol") -> str:
    """Cosmpy reads, simulates, sends, waits and queries over `grpc` or `rest`."""
    url = f"grpc+http://{side.grpc_address}" if transport == "grpc" else f"rest+{side.rest_url}"
    program = CLIENTS / "cosmpy" / "account.py"
    receiver = side.get_address("alice")
    command: list[str | Path] = [ensure_cosmpy(), program, url, side.chain_id]
    seen = run_program([*command, side.prefix, side.fee_denom, receiver], name)
    require(seen["chain_id"] == side.chain_id, f"query_chain_id: {seen['chain_id']}")
    require(seen["address"] == side.get_address(name), f"wallet: {seen['address']}")
    require(seen["code"] == 0, f"send_tokens: code {seen['code']}")
    require(seen["received"] == _SENT_BY_COSMPY, f"query_bank_balance: {seen['received']} more")
    require(seen["absent"] == "not found", "query_tx: a transaction that never was is found")
    require(seen["sequence_after"] == seen["sequence"] + 1, "query_account: sequence is not next")
    require(seen["height"] >= seen["tx_height"] > 0, f"query_height: {seen['height']}")
    return f"sent, found at height {seen['tx_height']}, {seen['gas_used']} gas"


def trade_with_cosmjs(hub: Side, spoke: Side, market: str, name: str) -> str:
    """The npm package's example: collateral locked and credited, a position opened and closed."""
    program = TYPESCRIPT / "examples" / "position.mjs"
    command: list[str | Path] = [find_node(), program, hub.rpc_url, spoke.rpc_url]
    seen = run_program([*command, "aeth", str(5 * 10**18), market, "1000000"], name)
    sizes = [position["sizeQuantums"] for position in seen["opened"]]
    require(sizes == ["1000000"], f"MsgPlaceOrder: opened {sizes}")
    require(int(seen["maintenanceUusd"]) > 0, "Margin: an open position requires nothing")
    require(not seen["closed"], f"MsgPlaceOrder: left open {seen['closed']}")
    return f"{int(seen['collateralUusd']) // 10**6} USD credited, 1 ETH bought and sold"
