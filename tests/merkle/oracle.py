"""The Go libraries cosmos/iavl and cosmos/ics23 as an oracle: built once, asked over a pipe."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent / "go_oracle"
BUILD_TIMEOUT_S = 600


def build(folder: Path) -> Path:
    """The built program; skips the test when Go or the pinned modules are not reachable."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed: the differential test against cosmos/iavl needs it")
    binary = folder / "oracle"
    command = [go, "build", "-mod=readonly", "-buildvcs=false", "-o", str(binary), "."]
    environment = os.environ | {"GOFLAGS": "", "CGO_ENABLED": "0"}
    modules = subprocess.run(
        [go, "mod", "download"],
        cwd=SOURCE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if modules.returncode != 0:
        pytest.skip(f"the Go modules are not reachable: {modules.stderr.strip()[-300:]}")
    subprocess.run(command, cwd=SOURCE, env=environment, timeout=BUILD_TIMEOUT_S, check=True)
    return binary


def ask(binary: Path, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; see go_oracle/main.go for the fields."""
    run = subprocess.run(
        [str(binary)], input=json.dumps(request).encode(), capture_output=True, check=True
    )
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer
