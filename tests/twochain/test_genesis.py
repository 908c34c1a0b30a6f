"""Genesis of IBC: export, import and export again give the same store and the same bytes."""

import json
from typing import Any

import pytest

from chain._pb.ibc.core.channel.v1.tx_pb2 import MsgAcknowledgementResponse
from chain.ibc import host
from chain.ibc.channel.handlers import SUCCESS
from chain.runtime.application import Application
from chain.runtime.errors import InvalidGenesis
from tests.support.testchain import TestChain
from tests.twochain.path import Path, get_result


def read_store(chain: TestChain) -> dict[bytes, bytes]:
    return dict(chain.store.latest().iterate(host.STORE, b"", None))


def start_from(chain: TestChain, document: dict[str, Any]) -> TestChain:
    """Another chain of the same definition that begins with this genesis document."""
    return TestChain(
        chain.definition,
        chain_id=chain.chain_id,
        app_state=document["app_state"],
        validators=4,
        accounts={},
        start_ns=chain.time_ns,
    )


def test_whole_store_goes_through_genesis(path: Path) -> None:
    path.relay(path.a.send_packet(b"hello"))
    path.a.send_packet(b"in flight")
    path.b.recv(path.a.send_packet(b"later"))
    for end in (path.a, path.b):
        document = json.loads(end.chain.app.export_genesis())
        again = start_from(end.chain, document)
        again.next_block()
        assert read_store(again) == read_store(end.chain)
        exported = json.loads(again.app.export_genesis())
        assert exported["app_state"]["ibc"] == document["app_state"]["ibc"]


def test_relaying_goes_on_over_an_export(path: Path) -> None:
    """A packet in flight at the export is settled by the state that was imported."""
    packet = path.a.send_packet(b"hello")
    acknowledgement = path.b.recv(packet)
    message = path.a.build_ack(packet, acknowledgement)
    document = json.loads(path.a.chain.app.export_genesis())
    again = start_from(path.a.chain, document)
    again.accounts = path.a.chain.accounts
    result = again.must_send(message, gas_limit=10_000_000)
    assert get_result(result, MsgAcknowledgementResponse) == SUCCESS
    assert "acknowledge_packet" in [event.type for event in result.events]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("client_genesis", "next_client_sequence", "0"),
        ("client_genesis", "params", {"allowed_clients": []}),
        ("connection_genesis", "params", {"max_expected_time_per_block": "0"}),
        ("client_genesis", "unknown", 1),
        ("client_genesis", "clients_consensus", []),
        ("connection_genesis", "client_connection_paths", [{"client_id": "07-tendermint-0"}]),
        ("connection_genesis", "client_connection_paths", [{"client_id": "/", "paths": ["a"]}]),
        ("channel_genesis", "commitments", [{"port_id": "echo", "channel_id": "channel-0"}]),
        ("channel_genesis", "acknowledgements", [{"port_id": "echo", "channel_id": "channel-0"}]),
    ],
)
def test_bad_genesis_is_refused(path: Path, section: str, key: str, value: object) -> None:
    document = json.loads(path.a.chain.app.export_genesis())
    document["app_state"]["ibc"][section][key] = value
    with pytest.raises(InvalidGenesis, match=r"app_state\.ibc"):
        start_from(path.a.chain, document)


def test_empty_chain_can_prove_absence(path: Path) -> None:
    """Genesis writes the sequences, so that the tree is never empty."""
    assert isinstance(path.a.chain.app, Application)
    fresh = TestChain(path.a.chain.definition, accounts={}, validators=4)
    fresh.next_block()
    value, _ = fresh.store.prove(host.STORE, host.client_state_path("07-tendermint-0"), 1)
    assert value is None
