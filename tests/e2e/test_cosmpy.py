"""cosmpy 0.12.2, unmodified, over gRPC and over REST."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chain.client.transaction import compute_tx_hash
from tests.node.test_rest import Gateway

REQUIREMENT = "cosmpy==0.12.2"
SCRIPT = Path(__file__).parent / "clients" / "cosmpy_client.py"
INSTALL_S = 180

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with cosmpy, made once and kept in the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "margin-chain" / REQUIREMENT.replace("==", "-")
    interpreter = home / "bin" / "python"
    done = home / "installed"
    if not done.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        for command in (
            [uv, "venv", "-q", "--clear", "--python", sys.executable, str(home)],
            [uv, "pip", "install", "-q", "--python", str(interpreter), REQUIREMENT],
        ):
            made = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=INSTALL_S
            )
            if made.returncode:
                pytest.skip(f"{REQUIREMENT} cannot be installed here: {made.stderr[-300:]}")
        done.touch()
    return interpreter


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_cosmpy_user_sends_tokens_and_finds_the_transaction(python, transport):
    node = Gateway()
    try:
        url = node.url if transport == "grpc" else f"rest+http://127.0.0.1:{node.rest.port}"
        alice, bob = (node.chain.account(name) for name in ("alice", "bob"))
        environment = {
            name: value for name, value in os.environ.items() if "proxy" not in name.lower()
        }
        ran = subprocess.run(
            [python, SCRIPT, url, node.chain.chain_id, alice.key.secret.hex(), bob.address],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment | {"no_proxy": "127.0.0.1"},
        )
        assert ran.returncode == 0, ran.stderr[-2_000:]
        seen = json.loads(ran.stdout)
        assert seen["address"] == alice.address
        assert (seen["code"], seen["received"], seen["absent"]) == (0, 5, "not found")
        assert seen["sequence_after"] == seen["sequence"] + 1
        assert seen["gas_used"] > 0
        tx, height, _ = node.comet.committed[seen["hash"]]
        assert (compute_tx_hash(tx), height) == (seen["hash"], seen["height"])
    finally:
        node.close()
