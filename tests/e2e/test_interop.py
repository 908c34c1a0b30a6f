"""`mlocalnet interop` as a user runs it: real processes, a table, nothing left behind."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from localnet.interop.binaries import find_simd

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.skipif(find_simd() is None, reason="no simd here: `make interop` builds it"),
]

RUN_S = 200


def test_a_run_prints_its_table_and_stops_every_process(tmp_path: Path) -> None:
    root = tmp_path / "world"
    wish = ("--client", "mrelay", "--only", "clear packets")
    ran = subprocess.run(
        [Path(sys.executable).with_name("mlocalnet"), "interop", *wish, "--root", root],
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    document = json.loads(ran.stdout)
    assert (document["passed"], document["failed"]) == (1, 0)
    (row,) = document["scenarios"]
    assert (row["client"], row["pass"]) == ("mrelay", True)
    assert row["name"].startswith("clear packets")
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline"])
        if any(str(root) in word for word in process.info["cmdline"] or ())
    ]
    assert not left
