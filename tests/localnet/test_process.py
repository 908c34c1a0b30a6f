"""Processes: found again by pid file, stopped even when paused or deaf."""

import json
import os
import signal
import sys

import pytest

from chain.node.config import write_default_config
from localnet.process import LocalProcess, NodeProcesses, ProcessFailed, wait_until
from localnet.topology import make_topology

SLEEP = "import time; time.sleep(60)"
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("on", flush=True)
time.sleep(60)
"""


@pytest.fixture
def make(tmp_path):
    made = []

    def build(code=SLEEP):
        process = LocalProcess(
            "sleeper", [sys.executable, "-c", code], tmp_path / "log", tmp_path / "run" / "pid"
        )
        made.append(process)
        return process

    yield build
    for process in made:
        process.kill()


def test_it_runs_once_and_another_object_finds_it(make):
    process = make()
    process.start()
    pid = process.pid
    process.start()
    assert process.pid == pid
    other = make()
    assert other.pid == pid
    other.stop()
    assert not process.is_running
    assert not process.pid_path.exists()


def test_a_reused_pid_is_not_taken_for_ours(make):
    process = make()
    process.pid_path.parent.mkdir()
    process.pid_path.write_text(json.dumps({"pid": os.getpid(), "create_time": 1.0}))
    assert not process.is_running
    process.kill()  # Must not hit the process that runs this test.


@pytest.mark.parametrize("text", ["", "12", "{}", "[]", '{"pid":"x","create_time":0}'])
def test_a_broken_pid_file_means_not_running(make, text):
    process = make()
    process.pid_path.parent.mkdir()
    process.pid_path.write_text(text)
    assert not process.is_running


def test_pause_and_stop_of_a_paused_process(make):
    process = make()
    process.start()
    process.send(signal.SIGSTOP)
    assert wait_until(lambda: process.is_paused, 5)
    assert process.is_running
    process.stop(5)
    assert not process.is_running


def test_a_deaf_process_is_killed_after_the_timeout(make):
    process = make(DEAF)
    process.start()
    assert wait_until(lambda: "on" in process.read_log_tail(), 10)
    process.stop(0.2)
    assert not process.is_running


def test_a_process_that_ended_is_seen_and_its_log_kept(make):
    process = make("print('last words'); raise SystemExit(3)")
    process.start()
    assert process.wait_ended(10)
    assert process.read_log_tail() == "last words"


def test_a_node_whose_application_dies_says_so(tmp_path):
    home = tmp_path / "home"
    address = f"unix://{tmp_path}/abci.sock"
    write_default_config(home / "config" / "app.toml", {"abci": {"address": address}})
    node = NodeProcesses.build(
        make_topology({"solo-1": 1}).nodes[0],
        home,
        tmp_path / "logs",
        cometbft=tmp_path / "none",
        application=[sys.executable, "-c", "raise SystemExit('no genesis here')"],
    )
    with pytest.raises(ProcessFailed, match=r"(?s)application has ended.*no genesis here"):
        node.start()
    assert not node.is_running
