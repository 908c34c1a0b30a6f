"""CosmJS 0.39 and cosmpy 0.12.2, unmodified, against real nodes of both kinds of chain."""

from collections.abc import Callable, Iterator

import pytest

from localnet.genesis import MARKET
from localnet.interop.binaries import BinaryNotFound
from localnet.interop.scenario import ScenarioFailed
from localnet.interop.sides import Side, wait_until_seen
from localnet.interop.wallet_scenarios import TRADER, get_price_wad, quote_both_sides
from localnet.interop.wallets import (
    ensure_cosmpy,
    find_node,
    run_program,
    trade_with_cosmjs,
    use_cosmjs,
    use_cosmpy,
)
from localnet.testing import LocalnetHandle

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Side]]:
    """A hub and a spoke of one validator each, linked by our relayer."""
    network = LocalnetHandle.create(
        tmp_path_factory.mktemp("wallets") / "network",
        {"validators": {"hub-1": 1, "alpha-1": 1}},
    )
    try:
        network.up()
        yield {
            kind: Side(
                chain_id,
                node.rpc_url,
                node.grpc_address,
                node.rest_url,
                "margin",
                "umargin",
                "umargin",
            )
            for kind, chain_id in (("hub", "hub-1"), ("spoke", "alpha-1"))
            for node in network.localnet.network.topology.get_chain(chain_id).nodes
        }
    finally:
        network.down()


def need(find: Callable[[], object]) -> None:
    try:
        find()
    except BinaryNotFound as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("kind", ["hub", "spoke"])
def test_cosmjs_reads_simulates_sends_waits_and_queries(sides, kind):
    need(find_node)
    assert use_cosmjs(sides[kind]).startswith("sent")


def test_the_npm_package_deposits_opens_and_closes_a_position(sides):
    need(find_node)
    wait_until_seen(lambda: get_price_wad(sides["hub"]), "a price")
    quote_both_sides(sides["hub"], get_price_wad(sides["hub"]))
    assert "credited" in trade_with_cosmjs(sides["hub"], sides["spoke"], MARKET, TRADER)


@pytest.mark.parametrize("transport", ["grpc", "rest"])
@pytest.mark.parametrize("kind", ["hub", "spoke"])
def test_cosmpy_reads_simulates_sends_waits_and_queries(sides, kind, transport):
    need(ensure_cosmpy)
    assert use_cosmpy(sides[kind], transport).startswith("sent")


def test_a_program_that_fails_says_what_it_said():
    need(find_node)
    with pytest.raises(ScenarioFailed, match="nowhere"):
        run_program([find_node(), "-e", "throw new Error('nowhere')"], "alice")
