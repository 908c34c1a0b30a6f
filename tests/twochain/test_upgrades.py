"""Clients that follow a chain over an upgrade it committed to."""

from collections.abc import Callable
from typing import Any

import pytest

from chain._pb.ibc.core.client.v1 import tx_pb2 as client_tx
from chain._pb.ibc.lightclients.tendermint.v1 import tendermint_pb2
from chain.ibc import host
from chain.ibc.client import state as client_state
from chain.ibc.client.tendermint import SENTINEL_ROOT, zero_custom_fields
from chain.ibc.height import Height
from chain.runtime.context import Context
from chain.runtime.router import pack
from tests.twochain.chain import EchoChain, TxRefused
from tests.twochain.path import DAY_S, Coordinator, Path, get_events

KEY = "upgradedIBCState"


@pytest.fixture
def path(coordinator: Coordinator) -> Path:
    """Clients whose upgrade path lies in the store that the echo chains have."""
    path = coordinator.create_echo_path()
    message = path.a.build_create_client()
    client = path.a.build_client_state()
    client.upgrade_path[:] = [host.STORE, KEY]
    message.client_state.CopyFrom(pack(client))
    path.a.chain.deliver(message)
    path.a.client_id = "07-tendermint-0"
    return path


def build_upgrade(path: Path, unbonding_period_s: int = 21 * DAY_S) -> client_tx.MsgUpgradeClient:
    """beta-1 commits to becoming beta-2; the message that takes a client of it there."""
    upgraded = path.a.build_client_state()
    upgraded.chain_id = "beta-2"
    upgraded.latest_height.CopyFrom(Height(2, 1).to_proto())
    upgraded.unbonding_period.seconds = unbonding_period_s
    upgraded.upgrade_path[:] = [host.STORE, KEY]
    consensus = tendermint_pb2.ConsensusState()
    consensus.CopyFrom(path.a.build_consensus_state())
    consensus.root.hash = SENTINEL_ROOT
    # The client must stand at the height under which the chain wrote its successor.
    height = path.b.chain.height + 2
    prefix = f"{KEY}/{height}"
    paths = [f"{prefix}/upgradedClient".encode(), f"{prefix}/upgradedConsState".encode()]
    values = [
        client_state.pack_client_state(zero_custom_fields(upgraded)),
        client_state.pack_consensus_state(consensus),
    ]

    def commit(ctx: Context) -> None:
        for key, value in zip(paths, values, strict=True):
            ctx.kv(host.STORE).set(key, value.SerializeToString(deterministic=True))

    assert isinstance(path.b.chain, EchoChain)
    path.b.chain.run(commit)
    path.a.update_client()
    assert path.a.get_client_height().revision_height == height
    proofs = [path.b.chain.prove(key) for key in paths]
    return client_tx.MsgUpgradeClient(
        client_id=path.a.client_id,
        client_state=pack(upgraded),
        consensus_state=pack(consensus),
        proof_upgrade_client=proofs[0].data,
        proof_upgrade_consensus_state=proofs[1].data,
        signer=path.a.signer,
    )


def test_client_follows_a_committed_upgrade(path: Path) -> None:
    result = path.a.chain.deliver(build_upgrade(path))
    ctx = path.a.chain.read_context()
    client = client_state.get_client_state(ctx, path.a.client_id)
    assert client.chain_id == "beta-2"
    assert client.trusting_period.seconds == 14 * DAY_S
    assert path.a.get_client_height() == Height(2, 1)
    assert path.a.get_status() == "Active"
    assert get_events(result.events, "upgrade_client")[0]["consensus_height"] == "2-1"


def test_shorter_unbonding_shortens_trust_in_proportion(path: Path) -> None:
    path.a.chain.deliver(build_upgrade(path, unbonding_period_s=7 * DAY_S))
    ctx = path.a.chain.read_context()
    client = client_state.get_client_state(ctx, path.a.client_id)
    assert client_state.duration_ns(client.trusting_period) == 14 * DAY_S * 10**9 // 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda c: setattr(c, "chain_id", "gamma-2"), ("commitment", 2)),
        (lambda c: setattr(c.unbonding_period, "seconds", 1), ("commitment", 2)),
        (lambda c: setattr(c.latest_height, "revision_number", 0), ("client", 26)),
    ],
)
def test_upgrade_that_was_not_committed_is_refused(
    path: Path, change: Callable[[Any], None], code: tuple[str, int]
) -> None:
    message = build_upgrade(path)
    client = tendermint_pb2.ClientState.FromString(message.client_state.value)
    change(client)
    message.client_state.CopyFrom(pack(client))
    with pytest.raises(TxRefused) as caught:
        path.a.chain.deliver(message)
    assert caught.value.code == code


def test_client_without_an_upgrade_path_stays(coordinator: Coordinator) -> None:
    path = coordinator.create_echo_path()
    message = path.a.build_create_client()
    client = path.a.build_client_state()
    client.ClearField("upgrade_path")
    message.client_state.CopyFrom(pack(client))
    path.a.chain.deliver(message)
    path.a.client_id = "07-tendermint-0"
    with pytest.raises(TxRefused, match="has no upgrade path"):
        path.a.chain.deliver(build_upgrade(path))
