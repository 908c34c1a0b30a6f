"""Where simd and Hermes come from: named by the environment, cached, or built once.

simd is the Go program beside this file around ibc-go's test application, with every module pinned;
Hermes is built unmodified from Rust's package registry. After the first build no network is needed.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from localnet.cometbft import Progress, get_cache_path, install_go

HERMES_VERSION: Final = "1.10.5"
SIMD_SOURCES: Final = Path(__file__).parent / "simd"
_IBC_GO_VERSION: Final = "10.7.0"
_GO_VERSION_MIN: Final = (1, 25)
_VERSION_FLAGS: Final = "github.com/cosmos/cosmos-sdk/version"
_BUILD_TIMEOUT_S: Final = 3_600
_LINES_BETWEEN_REPORTS: Final = 50


class BinaryNotFound(RuntimeError):
    """A program that is not here and could not be built; the text names the remedies."""


def get_interop_cache() -> Path:
    """The folder of the cache that holds the programs of the interop scenarios."""
    return get_cache_path().parents[2] / "interop"


def get_simd_path() -> Path:
    """The cached simd; its place depends on what it is built from."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SIMD_SOURCES / name).read_bytes())
    return get_interop_cache() / "simd" / digest.hexdigest()[:16] / "simd"


def get_hermes_path() -> Path:
    """The cached Hermes."""
    return get_interop_cache() / "hermes" / f"v{HERMES_VERSION}" / "bin" / "hermes"


def find_binary(variable: str, cached: Path) -> Path | None:
    """The program that the environment names, or the cached one; raises BinaryNotFound."""
    if named := os.environ.get(variable):
        if not os.access(named, os.X_OK):
            raise BinaryNotFound(f"{variable}={named} is no program: correct or unset it")
        return Path(named)
    return cached if os.access(cached, os.X_OK) else None


def find_simd() -> Path | None:
    """Simd if it is here: $SIMD_BIN, else the cache."""
    return find_binary("SIMD_BIN", get_simd_path())


def find_hermes() -> Path | None:
    """Hermes if it is here: $HERMES_BIN, else the cache."""
    return find_binary("HERMES_BIN", get_hermes_path())


def ensure_simd(progress: Progress = lambda _: None) -> Path:
    """simd, built into the cache if need be; raises BinaryNotFound."""
    if found := find_simd():
        return found
    progress(f"building simd around ibc-go v{_IBC_GO_VERSION} (about 5 minutes on 2 cores, once)")
    flags = {"Name": "simapp", "AppName": "simd", "Version": _IBC_GO_VERSION}
    settings = " ".join(f"-X {_VERSION_FLAGS}.{key}={value}" for key, value in flags.items())
    cached = get_simd_path()
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cached.parent) as draft:
        built = Path(draft) / "simd"
        command = [_find_go(progress), "build", "-v", "-trimpath"]
        command += ["-ldflags", f"-s -w {settings}", "-o", str(built), "."]
        environment = {"GOFLAGS": "-mod=readonly -modcacherw", "GOTOOLCHAIN": "local"}
        _build(command, environment, SIMD_SOURCES, progress, "SIMD_BIN")
        built.replace(cached)
    progress(f"simd is at {cached}")
    return cached


def ensure_hermes(progress: Progress = lambda _: None) -> Path:
    """Hermes, built into the cache if need be; raises BinaryNotFound."""
    if found := find_hermes():
        return found
    cargo = shutil.which("cargo")
    if cargo is None:
        raise BinaryNotFound(
            f"Hermes {HERMES_VERSION} is not here and there is no cargo to build it: install Rust, "
            "or set HERMES_BIN to the program"
        )
    progress(f"building Hermes {HERMES_VERSION} (about 7 minutes of processor time, once)")
    cached = get_hermes_path()
    root = cached.parents[1]
    root.mkdir(parents=True, exist_ok=True)
    command = [cargo, "install", "ibc-relayer-cli", "--version", HERMES_VERSION]
    command += ["--locked", "--bin", "hermes", "--root", str(root)]
    with tempfile.TemporaryDirectory(dir=root) as target:
        # Unoptimised: half the build time, and Hermes waits for chains, not for its processor.
        environment = {"CARGO_PROFILE_RELEASE_OPT_LEVEL": "0", "CARGO_TARGET_DIR": target}
        _build(command, environment, root, progress, "HERMES_BIN")
    progress(f"Hermes is at {cached}")
    return cached


def _find_go(progress: Progress) -> str:
    go = shutil.which("go")
    if go is not None:
        done = subprocess.run(
            [go, "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False
        )
        words = done.stdout.strip().removeprefix("go").split(".")[:2]
        if tuple(int(word) for word in words if word.isdecimal()) >= _GO_VERSION_MIN:
            return go
    return str(install_go(progress))


def _build(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    progress: Progress,
    variable: str,
) -> None:
    """Run a compiler, reporting now and then; raises BinaryNotFound with its last lines."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.strip())
            if len(lines) % _LINES_BETWEEN_REPORTS == 0:
                progress(f"building: {len(lines)} steps, now {lines[-1]}")
        status = process.wait(_BUILD_TIMEOUT_S)
    if status:
        raise BinaryNotFound(
            f"{' '.join(command[:3])} failed: {' / '.join(lines[-3:])}\nRemedies: go online for "
            f"the first run, or build it elsewhere and set {variable} to the program."
        )
