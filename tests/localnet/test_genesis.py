"""The app_state of each chain starts a chain, and says what the demo needs."""

import json

import pytest

from chain.modules.auth.types import module_address
from chain.node.genesis_check import check_genesis
from localnet.actors import ACTORS
from localnet.genesis import INSURANCE_SEED_UUSD, GenesisOptions, make_app_state, make_balances
from localnet.homes import make_genesis
from localnet.topology import make_topology

TOPOLOGY = make_topology()


@pytest.mark.parametrize("chain", TOPOLOGY.chains, ids=lambda chain: chain.chain_id)
def test_a_node_accepts_the_genesis_whole(tmp_path, chain):
    document = make_genesis(chain, genesis_time_ns=10**18, app_state=make_app_state(chain))
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(document, indent=1))
    assert check_genesis(path, chain.kind) == []


def test_an_unknown_key_in_it_is_refused_with_its_line(tmp_path):
    chain = TOPOLOGY.get_chain("hub-1")
    state = make_app_state(chain)
    state["oracle"]["params"]["market_time_speed"] = 2
    document = make_genesis(chain, genesis_time_ns=10**18, app_state=state)
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(document, indent=1))
    faults = check_genesis(path, chain.kind)
    assert len(faults) == 1
    assert "market_time_speed" in str(faults[0])


def test_the_hub_plays_an_hour_in_five_seconds_from_two_sources():
    oracle = make_app_state(TOPOLOGY.get_chain("hub-1"))["oracle"]["params"]
    assert oracle["market_time_scale"] == 720
    assert [(a["asset"], a["sources_min"]) for a in oracle["assets"]] == [("ETH", 2), ("USDC", 2)]
    faster = make_app_state(TOPOLOGY.get_chain("hub-1"), GenesisOptions(market_time_scale=1800))
    assert faster["oracle"]["params"]["market_time_scale"] == 1800


def test_two_of_three_council_members_decide_on_every_chain():
    for chain in TOPOLOGY.chains:
        params = make_app_state(chain)["council"]["params"]
        assert (params["threshold"], len(params["members"])) == (2, 3)
        assert params["guardian"] == ACTORS["guardian"].address


def test_validators_of_the_app_state_are_those_of_the_document():
    for chain in TOPOLOGY.chains:
        document = make_genesis(chain, genesis_time_ns=10**18, app_state=make_app_state(chain))
        of_the_app = document["app_state"]["validators"]["validators"]
        assert [v["consensus_pubkey"] for v in of_the_app] == [
            v["pub_key"]["value"] for v in document["validators"]
        ]


def test_each_collateral_lies_on_its_own_chain_and_the_fund_on_the_hub():
    held = {
        chain.chain_id: {d for coins in make_balances(chain).values() for d in coins}
        for chain in TOPOLOGY.chains
    }
    assert held == {
        "hub-1": {"umargin", "uusd"},
        "alpha-1": {"umargin", "aeth"},
        "beta-1": {"umargin", "uusdc"},
    }
    fund = make_balances(TOPOLOGY.get_chain("hub-1"))[module_address("insurance")]
    assert fund == {"uusd": INSURANCE_SEED_UUSD}
