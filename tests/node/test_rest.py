"""A real REST gateway over a real application in process, asked over HTTP."""

import base64
import json
import socket

import httpx2
import pytest

from chain._pb.cosmos.bank.v1beta1 import query_pb2 as bank_query
from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain._pb.cosmos.base.v1beta1 import coin_pb2
from chain._pb.cosmos.tx.v1beta1 import service_pb2
from chain.node.rest import RestLimits, RestServer, build_document_of_parameters
from chain.node.rest_routes import ABSENT, GET_PATHS, POST_PATHS, get_routes
from tests.node.test_grpc import Running

EXPLORER = [
    "/cosmos/auth/v1beta1/accounts",
    "/cosmos/auth/v1beta1/params",
    "/cosmos/bank/v1beta1/supply",
    "/cosmos/bank/v1beta1/denoms_metadata",
    "/cosmos/base/tendermint/v1beta1/node_info",
    "/cosmos/staking/v1beta1/validators",
    "/cosmos/staking/v1beta1/params",
    "/cosmos/staking/v1beta1/pool",
    "/cosmos/gov/v1/proposals",
]


class Gateway(Running):
    """A chain with its gRPC server, and its REST gateway with a client of it."""

    def __init__(self, **fields):
        super().__init__()
        self.rest = RestServer(
            self.chain.app,
            "127.0.0.1:0",
            rpc_url=self.comet.url,
            metrics=self.metrics,
            allowed_origins=("https://explorer.example",),
            **fields,
        )
        self.rest.start()
        self.http = httpx2.Client(
            base_url=f"http://127.0.0.1:{self.rest.port}", trust_env=False, timeout=5
        )

    def close(self):
        self.http.close()
        self.rest.stop()
        super().close()

    def get(self, path, status=200, headers=None, **params):
        answer = self.http.get(path, params=params or None, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def build_send(self):
        message = bank_tx.MsgSend(
            from_address=self.wallet("alice").address,
            to_address=self.wallet("bob").address,
            amount=[coin_pb2.Coin(denom="umargin", amount="5")],
        )
        return self.chain.draft([message]).build()


@pytest.fixture(scope="module")
def node():
    gateway = Gateway()
    yield gateway
    gateway.close()


@pytest.mark.parametrize("path", EXPLORER)
def test_what_an_explorer_asks_is_answered(node, path):
    assert node.get(path)


def test_balances_have_the_shape_of_the_sdk(node):
    address = node.wallet().address
    expected = str(node.chain.balance("alice"))
    answer = node.get(f"/cosmos/bank/v1beta1/balances/{address}")
    assert {"denom": "umargin", "amount": expected} in answer["balances"]
    assert set(answer) == {"balances", "pagination"}
    answer = node.get(f"/cosmos/bank/v1beta1/balances/{address}/by_denom", denom="umargin")
    assert answer == {"balance": {"denom": "umargin", "amount": expected}}


def test_an_account_names_its_type(node):
    account = node.get(f"/cosmos/auth/v1beta1/accounts/{node.wallet().address}")["account"]
    assert account["@type"] == "/cosmos.auth.v1beta1.BaseAccount"
    assert account["sequence"].isdigit()


def test_pages_are_asked_for_with_dotted_names(node):
    first = node.get("/cosmos/auth/v1beta1/accounts", **{"pagination.limit": 1})
    assert len(first["accounts"]) == 1
    key = first["pagination"]["next_key"]
    second = node.get("/cosmos/auth/v1beta1/accounts", **{"pagination.key": key})
    assert second["accounts"][0] != first["accounts"][0]
    counted = node.get("/cosmos/auth/v1beta1/accounts", **{"pagination.count_total": "true"})
    assert int(counted["pagination"]["total"]) == len(counted["accounts"])


def test_a_height_header_asks_the_past(node):
    path = "/cosmos/bank/v1beta1/supply"
    answer = node.http.get(path, headers={"x-cosmos-block-height": "1"})
    assert answer.headers["grpc-metadata-x-cosmos-block-height"] == "1"
    refused = node.get(path, 400, {"x-cosmos-block-height": "999"})
    assert refused["code"] == 11
    assert node.get(path, 400, {"x-cosmos-block-height": "-1"})["code"] == 3


def test_a_transaction_is_broadcast_and_found(node):
    raw = node.build_send()
    body = {"tx_bytes": base64.b64encode(raw).decode()}
    answer = node.http.post("/cosmos/tx/v1beta1/simulate", json=body).json()
    assert int(answer["gas_info"]["gas_used"]) > 0
    body["mode"] = "BROADCAST_MODE_SYNC"
    sent = node.http.post("/cosmos/tx/v1beta1/txs", json=body).json()["tx_response"]
    assert sent["code"] == 0
    found = node.get(f"/cosmos/tx/v1beta1/txs/{sent['txhash']}")
    assert found["tx"]["body"]["messages"][0]["@type"] == "/cosmos.bank.v1beta1.MsgSend"
    assert found["tx_response"]["txhash"] == sent["txhash"]
    assert found["tx_response"]["height"].isdigit()


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/cosmos/tx/v1beta1/txs/" + "0" * 64, 404, 5),
        ("/cosmos/tx/v1beta1/txs/xyz", 400, 3),
        ("/cosmos/auth/v1beta1/accounts/margin1nobody", 400, 3),
        ("/cosmos/auth/v1beta1/accounts?pagination.limit=many", 400, 3),
        ("/cosmos/auth/v1beta1/accounts?pagination.limit=-1", 400, 3),
        ("/cosmos/auth/v1beta1/accounts?pagination.reverse=maybe", 400, 3),
        ("/cosmos/auth/v1beta1/accounts?pagination.offset=999999999", 400, 3),
        ("/cosmos/base/tendermint/v1beta1/blocks/zero", 400, 3),
        ("/cosmos/auth/v1beta1/accounts?" + "a=1&" * 65, 400, 3),
    ],
)
def test_a_bad_call_gets_its_status_and_the_reason(node, path, status, code):
    refusal = node.get(path, status)
    assert refusal["code"] == code
    assert refusal["message"]
    assert refusal["details"] == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"tx_bytes":5}', b'{"tx_bytes":"!"}', b"[" * 100_000, b"\xff"]
)
def test_a_bad_body_is_refused(node, body):
    answer = node.http.post("/cosmos/tx/v1beta1/simulate", content=body)
    assert answer.status_code in (400, 500)
    assert answer.json()["code"] in (2, 3)


def test_a_giant_body_is_refused(node):
    answer = node.http.post("/cosmos/tx/v1beta1/txs", content=b" " * (4 << 20))
    assert answer.status_code == 400
    assert "above" in answer.json()["message"]


def test_unknown_paths_are_404(node):
    assert node.http.get("/cosmos/nothing").status_code == 404


def test_only_named_pages_may_call_from_a_browser(node):
    path = "/cosmos/bank/v1beta1/supply"
    header = "access-control-allow-origin"
    for origin, expected in (("https://explorer.example", True), ("https://evil.example", False)):
        answer = node.http.get(path, headers={"origin": origin})
        assert (header in answer.headers) == expected


def test_calls_above_the_limit_are_turned_away():
    gateway = Gateway(limits=RestLimits(concurrent_calls_max=0))
    try:
        assert gateway.get("/cosmos/bank/v1beta1/supply", 429)["code"] == 8
    finally:
        gateway.close()


def test_an_absent_cometbft_is_unavailable():
    gateway = Gateway()
    try:
        gateway.comet.close()
        path = "/cosmos/base/tendermint/v1beta1/blocks/latest"
        assert gateway.get(path, 503)["code"] == 14
    finally:
        gateway.http.close()
        gateway.rest.stop()
        gateway.server.stop()


def test_a_taken_port_is_an_error(node):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = RestServer(
            node.chain.app, f"127.0.0.1:{taken.getsockname()[1]}", rpc_url=node.comet.url
        )
        with pytest.raises(OSError, match="ddress"):
            server.start()
        server.stop()


def test_the_openapi_document_describes_every_path(node):
    document = node.get("/openapi.json")
    assert document["openapi"] == "3.1.0"
    paths = document["paths"]
    for path in (*GET_PATHS, *POST_PATHS, *ABSENT):
        assert path.replace(":path}", "}") in paths
    assert "/margin/collateral/v1/routes" in paths
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.split('"')[0] in schemas
    for path, operations in paths.items():
        for operation in operations.values():
            named = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
            assert all("{" + name + "}" in path for name in named)
            if "absent" not in operation["tags"]:
                assert len(named) == path.count("{"), path


def test_every_route_has_a_method_of_its_own():
    places = [(route.http_method, route.path) for route in get_routes()]
    assert len(places) == len(set(places))


def test_parameters_that_name_no_field_are_ignored():
    descriptor = bank_query.QueryAllBalancesRequest.DESCRIPTOR
    parameters = [("address", "a"), ("pagination.limit", "5"), ("x", "1"), ("address.y", "1")]
    document = build_document_of_parameters(descriptor, parameters, 64)
    assert document == {"address": "a", "pagination": {"limit": "5"}}
    events = service_pb2.GetTxsEventRequest.DESCRIPTOR
    parameters = [("events", "a=1"), ("events", "b=2")]
    assert build_document_of_parameters(events, parameters, 64) == {"events": ["a=1", "b=2"]}


def test_a_repeated_field_of_a_path_is_a_list_with_commas(node):
    channel = "/ibc/core/channel/v1/channels/channel-9/ports/transfer/packet_commitments"
    answer = node.get(f"{channel}/1,2,3/unreceived_packets", status=404)
    assert "channel-9" in answer["message"]
    assert node.get(f"{channel}/4/unreceived_acks", status=404)["code"] == 5
    assert node.get(f"{channel}/1,x/unreceived_packets", status=400)["code"] == 3


def test_the_last_page_says_so(node):
    assert node.get("/cosmos/bank/v1beta1/supply")["pagination"]["next_key"] is None
