"""What deposits over a voucher route say of its delay: a floor, which only raises the measure."""

import json

import pytest

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain.modules.collateral import state as collateral
from chain.modules.collateral.measurement import RouteMeasure, get_route_measure
from chain.units import NANOSECONDS
from tests.support.testchain import Account
from tests.twochain.hostile_peer import ACCEPTED, ROUTE_ID, build_hostile_path
from tests.twochain.path import Path, get_acknowledgement

ALICE = str(Account.named("alice").address)
BASE = "samoleans"


@pytest.fixture
def path() -> Path:
    """A route over which alice has a line already, so that small deposits count."""
    path = build_hostile_path(BASE)
    deposit(path, 0, amount=600)
    return path


def deposit(path: Path, delay_s: int, amount: int = 2) -> None:
    """A deposit whose proof is this old when it arrives."""
    memo = json.dumps({"margin": {"deposit": {"owner": ALICE, "account": 0}}})
    fields = {"denom": BASE, "amount": str(amount), "sender": "x", "receiver": ALICE, "memo": memo}
    message = path.b.build_recv(path.a.send_packet(json.dumps(fields).encode()))
    path.b.chain.clock.advance(delay_s * NANOSECONDS)
    assert get_acknowledgement(path.b.chain.deliver(message)) == ACCEPTED


def measure(path: Path) -> RouteMeasure:
    ctx = path.b.chain.read_context()
    route = collateral.get_route(ctx, ROUTE_ID)
    assert isinstance(route, pb.Route)
    return get_route_measure(ctx, route)


def test_a_fresh_proof_says_nothing(path: Path) -> None:
    before = measure(path)
    for _ in range(3):
        deposit(path, 0)
    assert measure(path).samples == before.samples == 0
    assert measure(path).relay_p95_ms == before.relay_p95_ms


def test_an_old_proof_shows_a_slow_route(path: Path) -> None:
    ctx = path.b.chain.read_context()
    params = collateral.get_params(ctx)
    prior_ms, least = params.latency_prior_ms, params.latency_samples_min
    delay_s = prior_ms // 1_000 + 60
    for count in range(1, least + 1):
        deposit(path, delay_s)
        assert measure(path).samples == count
    assert measure(path).relay_p95_ms >= delay_s * 1_000
    # What is known to be slower than this deposit learns nothing from it.
    deposit(path, delay_s // 2)
    assert measure(path).samples == least
