"""The pytest plugin for people who test chains: fixtures localnet, chain and relayer.

A test names what it needs: `@pytest.mark.localnet(validators={"hub-1": 4, "alpha-1": 2})`. Networks
are shared within a module, listen on free loopback ports and are gone when the module ends, unless
`--localnet-keep`. Nothing heavy is imported before the first fixture is asked for.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from localnet.testing import ChainHandle, LocalnetHandle, RelayerHandle

DEFAULT_TEST_VALIDATORS = {"hub-1": 2, "alpha-1": 1, "beta-1": 1}
"""The smallest network on which a whole story can be played."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--localnet-keep`."""
    group = parser.getgroup("localnet", "local networks of the margin chain")
    group.addoption(
        "--localnet-keep",
        action="store_true",
        help="leave networks running and print their folders",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "localnet(validators, has_links, timeout_commit_ms, market_time_scale): the network that "
        "the localnet fixture of this module brings up",
    )


@pytest.fixture(scope="module")
def localnet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[LocalnetHandle]":
    """A network that is up: three chains, feed, relayer, registered channels."""
    from localnet.testing import LocalnetHandle  # noqa: PLC0415  (pytest must start fast)

    node = request.node
    assert isinstance(node, pytest.Module)
    marker = node.get_closest_marker("localnet")
    wishes: Mapping[str, object] = marker.kwargs if marker else {}
    handle = LocalnetHandle.create(
        tmp_path_factory.mktemp("localnet"), {"validators": DEFAULT_TEST_VALIDATORS, **wishes}
    )
    try:
        handle.up()
        yield handle
    finally:
        if request.config.getoption("--localnet-keep"):
            reporter = request.config.pluginmanager.get_plugin("terminalreporter")
            if reporter is not None:
                reporter.write_line(f"localnet kept: mlocalnet status --root {handle.root}")
        else:
            handle.down()


@pytest.fixture
def chain(localnet: "LocalnetHandle") -> "ChainHandle":
    """The hub; other chains are `localnet.chains[chain_id]`."""
    return localnet.hub


@pytest.fixture
def relayer(localnet: "LocalnetHandle") -> "RelayerHandle":
    """The network's relayer."""
    return localnet.relayer
