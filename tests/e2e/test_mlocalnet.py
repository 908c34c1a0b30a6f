"""mlocalnet as people use it: up in the foreground, killed processes come back, nothing stays."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from localnet.process import wait_until

MLOCALNET = str(Path(sys.executable).with_name("mlocalnet"))
START_S = 240
RECOVERY_S = 60

pytestmark = pytest.mark.e2e


def run(root, *words):
    done = subprocess.run(
        [MLOCALNET, *words, "--root", str(root), "--output", "json"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def list_processes(root):
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(root) in word for word in process.info["cmdline"] or ())
    ]


@pytest.fixture(scope="module")
def foreground(tmp_path_factory):
    root = tmp_path_factory.mktemp("up") / "net"
    log = root.with_name("up.log")
    with log.open("w") as output:
        process = subprocess.Popen(
            [MLOCALNET, "up", "--foreground", "--validators", "1,1,1", "--root", str(root)],
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        ready = wait_until(lambda: "everything runs" in log.read_text(), START_S)
        assert ready, log.read_text()
        yield process, root, log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    assert list_processes(root) == []


def test_status_lists_nodes_pids_ports_and_homes(foreground):
    _, root, _ = foreground
    code, document, _ = run(root, "status")
    assert code == 0
    assert [row["name"] for row in document["nodes"]] == ["hub-1-v0", "alpha-1-v0", "beta-1-v0"]
    for row in document["nodes"]:
        assert row["state"] == "running"
        assert psutil.pid_exists(row["app_pid"])
        assert psutil.pid_exists(row["cometbft_pid"])
        assert row["ports"]["grpc"] == int(row["grpc"].rpartition(":")[2])
        assert (Path(row["home"]) / "config" / "genesis.json").exists()


def test_up_again_changes_nothing(foreground):
    _, root, _ = foreground
    before = run(root, "status")[1]
    code, after, _ = run(root, "up")
    assert code == 0

    def pids(document):
        return [
            *((r["app_pid"], r["cometbft_pid"]) for r in document["nodes"]),
            *(r["pid"] for r in document["services"]),
        ]

    assert pids(after) == pids(before)
    assert {account["name"] for account in after["accounts"]} >= {"alice", "relayer", "faucet"}


def test_the_faucet_gives_and_refuses(foreground):
    _, root, _ = foreground
    code, outcome, _ = run(root, "faucet", "bob", "2 ETH", "--chain", "alpha-1")
    assert (code, outcome["amount"]) == (0, "2 ETH")
    code, _, said = run(root, "faucet", "bob", "2 ETH", "--chain", "gamma-1")
    assert code == 1
    assert "gamma-1" in said


def test_what_is_killed_comes_back(foreground):
    _, root, _ = foreground
    before = run(root, "status")[1]
    victims = [before["nodes"][0]["app_pid"], *(row["pid"] for row in before["services"])]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)

    def is_back():
        code, document, _ = run(root, "status")
        alive = [document["nodes"][0]["app_pid"], *(row["pid"] for row in document["services"])]
        return code == 0 and not set(alive) & set(victims)

    assert wait_until(is_back, RECOVERY_S)


def test_ctrl_c_stops_everything(foreground):
    process, root, log = foreground
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert list_processes(root) == []
    code, document, _ = run(root, "status")
    assert code == 1
    assert {row["state"] for row in document["nodes"]} == {"stopped"}
    assert "stopped" in log.read_text()
