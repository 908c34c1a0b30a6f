"""Where the programs of the interop scenarios come from."""

from pathlib import Path

import pytest

from localnet.interop import binaries


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and no program named by the environment."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SIMD_BIN", raising=False)
    monkeypatch.delenv("HERMES_BIN", raising=False)
    return tmp_path


def make_program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_an_empty_cache_holds_nothing() -> None:
    assert binaries.find_simd() is None
    assert binaries.find_hermes() is None


def test_cached_programs_are_found_under_the_cache(cache: Path) -> None:
    for path, find in (
        (binaries.get_simd_path(), binaries.find_simd),
        (binaries.get_hermes_path(), binaries.find_hermes),
    ):
        assert path.is_relative_to(cache / "margin-chain")
        make_program(path)
        assert find() == path


def test_what_is_found_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    simd = make_program(binaries.get_simd_path())
    hermes = make_program(binaries.get_hermes_path())
    monkeypatch.setenv("PATH", "")
    assert (binaries.ensure_simd(), binaries.ensure_hermes()) == (simd, hermes)


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_program(binaries.get_hermes_path())
    named = make_program(tmp_path / "elsewhere" / "hermes")
    monkeypatch.setenv("HERMES_BIN", str(named))
    assert binaries.ensure_hermes() == named


@pytest.mark.parametrize("variable", ["SIMD_BIN", "HERMES_BIN"])
def test_a_named_file_that_is_no_program_is_refused(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("no program")
    monkeypatch.setenv(variable, str(tmp_path / "text"))
    find = binaries.find_simd if variable == "SIMD_BIN" else binaries.find_hermes
    with pytest.raises(binaries.BinaryNotFound, match=f"{variable}=.* correct or unset it"):
        find()


def test_other_sources_are_another_simd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = binaries.get_simd_path()
    for name in ("go.mod", "go.sum", "main.go"):
        text = (binaries.SIMD_SOURCES / name).read_text()
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(binaries, "SIMD_SOURCES", tmp_path)
    assert binaries.get_simd_path() == before
    (tmp_path / "main.go").write_text(text + "\n")
    assert binaries.get_simd_path() != before


def test_without_cargo_the_remedies_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(binaries.BinaryNotFound, match="install Rust, or set HERMES_BIN"):
        binaries.ensure_hermes()


def test_a_failed_build_tells_its_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cargo = make_program(tmp_path / "bin" / "cargo")
    cargo.write_text("#!/bin/sh\necho 'error: no such crate'\nexit 101\n")
    monkeypatch.setenv("PATH", str(cargo.parent), prepend=":")
    with pytest.raises(binaries.BinaryNotFound, match=r"no such crate[\s\S]*set HERMES_BIN"):
        binaries.ensure_hermes()
    assert binaries.find_hermes() is None
