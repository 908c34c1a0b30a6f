"""The risk engine's queries on a running hub: the same answer over gRPC, REST and command line.

What each figure is has tests of its own; here every query is asked as people ask it, of an account
with a position and orders, and printed as a table and as JSON.
"""

import json
import sys
from dataclasses import replace

import httpx2
import pytest
from google.protobuf.json_format import MessageToDict

from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain.cli import app as cli
from chain.client.registry import find_message_class, get_methods_by_path, to_json
from chain.hub import HUB
from chain.modules import oracle
from chain.modules.markets.params import build_default_params as build_markets_params
from chain.modules.oracle.params import build_default_params as build_oracle_params
from chain.node.rest import RestServer
from tests.modules.economy import (
    BUY,
    ETHER,
    MARKET,
    NOW,
    SELL,
    USD,
    build_asset_params,
    build_market,
    order,
)
from tests.modules.test_economy_application import Feed
from tests.node.test_grpc import Running
from tests.support.testchain import DENOM

OWNER = "OWNER"
QUERIES = [
    ("accounts", "margin", {"owner": OWNER}),
    ("accounts", "liquidatable", {}),
    ("accounts", "params", {}),
    ("collateral", "haircuts", {}),
    ("collateral", "params", {}),
    ("collateral", "routes", {}),
    ("collateral", "solvency", {}),
    ("desk", "explain", {"owner": OWNER}),
    ("desk", "greeks", {"owner": OWNER}),
    ("desk", "liquidation_prices", {"owner": OWNER}),
    ("desk", "risk_matrix", {"owner": OWNER, "asset": "ETH"}),
    (
        "desk",
        "simulate",
        {"owner": OWNER, "moves": "ETH,-100000,250000", "orders": f"{MARKET},sell,1000000"},
    ),
    ("desk", "utilisation", {"owner": OWNER}),
    ("markets", "markets", {}),
    ("oracle", "correlations", {}),
    ("oracle", "depths", {}),
    ("oracle", "price", {"asset": "ETH"}),
    ("oracle", "volatilities", {}),
    ("oracle", "volatility_index", {}),
    ("params", "all_params", {}),
    ("scenarios", "underlyings", {}),
]


def build_state():
    params = build_oracle_params()
    params.assets.extend([build_asset_params("ETH"), build_asset_params("USDC")])
    genesis = markets_pb2.GenesisState(
        params=build_markets_params(), markets=[build_market()], next_order_id=1, next_fill_id=1
    )
    return {
        "oracle": MessageToDict(
            oracle_pb2.GenesisState(params=params), preserving_proto_field_name=True
        ),
        "markets": MessageToDict(genesis, preserving_proto_field_name=True),
    }


class RiskHub(Running):
    """Bob is long 20 ETH against Alice, with an order resting."""

    def __init__(self):
        feed = Feed()
        modules = tuple(
            oracle.module(feed) if module.name == "oracle" else module for module in HUB.modules
        )
        coins = {DENOM: 10**12, "uusd": 10**6 * USD}
        super().__init__(
            definition=replace(HUB, modules=modules),
            accounts={"alice": coins, "bob": coins},
            app_state=build_state(),
            validators=4,
            vote_extensions=True,
        )
        self.rest = RestServer(self.chain.app, "127.0.0.1:0", rpc_url=self.comet.url)
        self.rest.start()
        self.http = httpx2.Client(
            base_url=f"http://127.0.0.1:{self.rest.port}", trust_env=False, timeout=10
        )
        feed.chain = self.chain
        self.chain.next_block()
        self.chain.next_block()
        for name, usd in (("alice", 500_000), ("bob", 5_000)):
            owner = self.chain.account(name).address
            deposit = accounts_tx.MsgDepositCash(
                sender=owner, owner=owner, amount_uusd=str(usd * USD)
            )
            self.chain.must_send(deposit, name)
        alice, bob = (self.chain.account(name).address for name in ("alice", "bob"))
        self.chain.must_send(order(alice, SELL, 20 * ETHER, 200_000), "alice")
        self.chain.must_send(order(bob, BUY, 20 * ETHER, tif=NOW), "bob")
        self.chain.must_send(order(bob, SELL, ETHER, 210_000), "bob")
        self.owner = bob

    def close(self):
        self.http.close()
        self.rest.stop()
        super().close()

    def fill(self, fields):
        return {name: self.owner if text == OWNER else text for name, text in fields.items()}


@pytest.fixture(scope="module")
def hub():
    running = RiskHub()
    yield running
    running.close()


@pytest.fixture
def run(hub, monkeypatch, capsys):
    def call(*words, output="json"):
        arguments = ["marginchaind", *words, "--grpc", hub.url, "--output", output]
        monkeypatch.setattr(sys, "argv", arguments)
        code = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code or 0
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return call


def ask_grpc(hub, module, method, fields):
    name = "".join(word.capitalize() for word in method.split("_"))
    path = f"/margin.{module}.v1.Query/{name}"
    info = get_methods_by_path()[path]
    request = find_message_class(info.request.full_name)()
    for field, text in fields.items():
        if info.request.fields_by_name[field].is_repeated:
            getattr(request, field).append(text)
        else:
            setattr(request, field, text)
    answer, _ = hub.call(path, request, find_message_class(info.response.full_name), timeout=10)
    return to_json(answer)


@pytest.mark.parametrize(("module", "method", "fields"), QUERIES, ids=lambda value: str(value)[:20])
def test_every_door_gives_the_same_answer(hub, run, module, method, fields):
    fields = hub.fill(fields)
    answer = ask_grpc(hub, module, method, fields)
    rest = hub.http.get(f"/margin/{module}/v1/{method}", params=fields)
    assert (rest.status_code, rest.json()) == (200, answer)
    options = [word for name, text in fields.items() for word in (f"--{name}", text)]
    options = [word.replace("_", "-") if word.startswith("--") else word for word in options]
    words = ("query", module, method.replace("_", "-"), *options)
    assert json.loads(run(*words)) == answer
    table = run(*words, output="text")
    assert all(name in table for name in _find_shown(answer))


def _find_shown(answer):
    """Names that a table of the answer prints: fields at the top that hold a figure or text."""
    return [name for name, value in answer.items() if isinstance(value, str) and value]


def test_a_margin_is_computed_again_from_what_the_node_answers(hub, run):
    shown = json.loads(run("risk", "recompute", "--owner", hub.owner))
    assert shown == {"is_equal": True, "differences": []}
    answer = ask_grpc(hub, "accounts", "margin", {"owner": hub.owner})
    assert int(answer["margin"]["maintenance_uusd"]) > 0
