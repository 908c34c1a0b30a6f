import pytest

from chain._pb.cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from chain.client import registry
from chain.client.errors import InvalidField, NotFound
from chain.client.transaction import pack_any


def test_every_msg_service_is_listed_with_its_request():
    methods = registry.get_transaction_methods()
    assert methods["bank"]["send"].path == "/cosmos.bank.v1beta1.Msg/Send"
    assert methods["bank"]["send"].request.full_name == "cosmos.bank.v1beta1.MsgSend"
    assert "create-client" in methods["ibc-client"]
    assert "place-order" in methods["markets"]


def test_queries_hold_no_message_and_messages_no_query():
    queries = {i.path for t in registry.get_query_methods().values() for i in t.values()}
    messages = {i.path for t in registry.get_transaction_methods().values() for i in t.values()}
    assert not queries & messages
    assert all("/Msg" not in path.rsplit(".", 1)[-1] for path in queries)
    assert set(registry.get_methods_by_path()) == queries | messages


def test_unknown_module_and_method_list_the_choices():
    table = registry.get_query_methods()
    with pytest.raises(NotFound, match=r"modules: .*bank"):
        registry.find_method(table, "nobank", "balance")
    with pytest.raises(NotFound, match=r"it has: .*balance"):
        registry.find_method(table, "bank", "nothing")


def test_any_goes_to_json_and_back():
    message = bank_tx.MsgSend(from_address="a", to_address="b")
    document = {"@type": "/cosmos.bank.v1beta1.MsgSend", "from_address": "a", "to_address": "b"}
    packed = registry.any_from_json(document)
    assert packed == pack_any(message)
    assert packed.type_url == "/cosmos.bank.v1beta1.MsgSend"
    assert registry.unpack_any(packed) == message


@pytest.mark.parametrize(
    "document",
    [
        {"from_address": "a"},
        {"@type": 5},
        {"@type": "/cosmos.bank.v1beta1.MsgSend", "unknown": 1},
        {"@type": "/cosmos.bank.v1beta1.MsgSend", "from_address": 5},
    ],
)
def test_malformed_json_message_is_refused(document):
    with pytest.raises(InvalidField):
        registry.any_from_json(document)


def test_unknown_type_is_refused():
    with pytest.raises(NotFound, match="no message type"):
        registry.any_from_json({"@type": "/cosmos.bank.v1beta1.MsgNothing"})


def test_deep_json_is_refused_not_recursed():
    document = value = {}
    for _ in range(200):
        value["nested"] = {}
        value = value["nested"]
    with pytest.raises(InvalidField):
        registry.any_from_json({"@type": "/cosmos.bank.v1beta1.MsgSend", **document})


@pytest.mark.parametrize(
    ("name", "expected"),
    [("MsgPlaceOrder", "msg-place-order"), ("ABCIQuery", "abci-query"), ("GetTx", "get-tx")],
)
def test_kebab_case(name, expected):
    assert registry.kebab(name) == expected
