import pytest

from chain._pb.margin.collateral.v1 import collateral_pb2 as pb
from chain._pb.margin.collateral.v1 import tx_pb2
from chain._pb.margin.packet.v1 import packet_pb2
from chain.errors import ChainError
from chain.ibc.client import state as clients
from chain.ibc.router import Packet
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import InsufficientMargin
from chain.modules.accounts.types import AccountId
from chain.modules.bank import state as bank
from chain.modules.collateral import errors, genesis, handlers, measurement, queries, state
from chain.modules.council import state as council
from chain.modules.council.errors import NotAuthority
from chain.units import PPM, WAD
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    DAVE,
    ETHER,
    SELL,
    USD,
    deliver,
    deposit,
    place,
)
from tests.modules.margin_network import (
    AUTHORITY,
    DENOM,
    ETH,
    assert_collateral_identity,
    build_asset,
    build_listing,
    build_network,
    build_route,
    open_channel,
    touch_client,
)

ACCOUNT = AccountId(ALICE, 0)


def lien(network):
    return sum(accounts.require_account(network.hub.ctx, ACCOUNT).liens.values())


def lock_packet(network, channel_id="channel-0", **changes):
    """What a lying or clumsy chain may send: any lock over any channel."""
    fields = {
        "lock_id": "lock-9",
        "depositor": BOB,
        "owner": ALICE,
        "denom": DENOM,
        "amount": str(ETH),
        **changes,
    }
    data = packet_pb2.MarginPacket(
        sender_time_ns=network.hub.ctx.time_ns, lock_collateral=fields
    ).SerializeToString()
    packet = Packet(9, "margin", "channel-0", "margin", channel_id, data, None, 0)
    return packet_pb2.MarginAcknowledgement.FromString(network.hub.receive(packet))


def measure(network):
    ctx = network.hub.ctx
    return measurement.get_route_measure(ctx, state.require_route(ctx, "alpha"))


def test_a_lock_becomes_a_lien_to_the_unit():
    network = build_network()
    assert network.deposit(7 * ETH + 1).code == 0
    assert lien(network) == 7 * ETH + 1
    assert_collateral_identity(network)


def test_a_fake_collateral_chain_mints_no_credit():
    network = build_network()
    open_channel(network.hub.ctx, "alpha-1", "channel-1")
    result = lock_packet(network, channel_id="channel-1")
    assert (result.codespace, result.code) == ("collateral", 2)
    assert accounts.get_account(network.hub.ctx, ACCOUNT) is None


def test_a_lock_id_counts_once_and_means_one_lock():
    network = build_network()
    assert lock_packet(network).code == 0
    assert lock_packet(network).code == 0
    assert lien(network) == ETH
    assert lock_packet(network, amount=str(2 * ETH)).code == 12
    assert lien(network) == ETH


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"denom": "other"}, ("collateral", 6)),
        ({"amount": str(ETH // 100 - 1)}, ("collateral", 8)),
        ({"amount": str(200 * ETH + 1)}, ("collateral", 7)),
        ({"amount": "0"}, ("units", 2)),
        ({"amount": "01"}, ("units", 2)),
        ({"amount": str(1 << 256)}, ("units", 2)),
        ({"owner": "alice"}, ("sdk", 7)),
        ({"account": 128}, ("accounts", 3)),
        ({"lock_id": ""}, ("sdk", 18)),
        ({"lock_id": "x" * 65}, ("sdk", 18)),
    ],
)
def test_bad_locks_are_refused_by_code_and_credit_nothing(changes, code):
    network = build_network()
    result = lock_packet(network, **changes)
    assert (result.codespace, result.code) == code
    assert accounts.get_account(network.hub.ctx, ACCOUNT) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda ctx: state.set_asset(ctx, build_asset(quantity_cap_wad=str(5 * WAD))),
        lambda ctx: state.set_asset(ctx, build_asset(owner_quantity_cap_wad=str(5 * WAD))),
        lambda ctx: state.set_listing(ctx, build_listing(amount_cap=str(5 * ETH))),
        lambda ctx: set_route_figures(ctx, value_cap_uusd=str(10_000 * USD)),
        lambda ctx: set_route_figures(ctx, stake_uusd=str(30_001 * USD)),
    ],
)
def test_every_cap_holds_to_the_unit(change):
    """Each cap admits 5 ETH (10,000 USD at 2,000) and not a unit more."""
    network = build_network()
    change(network.hub.ctx)
    assert network.deposit(5 * ETH).code == 0
    assert network.deposit(ETH // 100).code == 7
    assert lien(network) == 5 * ETH
    assert_collateral_identity(network)


def set_route_figures(ctx, **changes):
    route = state.require_route(ctx, "alpha")
    for name, value in changes.items():
        setattr(route, name, value)
    state.set_route(ctx, route)


def test_a_healthy_withdrawal_returns_exactly_what_was_locked():
    network = build_network()
    network.deposit(7 * ETH + 3)
    packet = network.withdraw(7 * ETH + 3, receiver=DAVE)
    assert accounts.require_account(network.hub.ctx, ACCOUNT).liens == {}
    assert_collateral_identity(network)
    assert network.relay(packet, network.hub, network.spoke).code == 0
    assert bank.get_balance(network.spoke.ctx, DAVE, DENOM) == 7 * ETH + 3
    assert_collateral_identity(network)
    assert not list(state.iterate_flights(network.hub.ctx))


def test_a_withdrawal_that_times_out_or_fails_is_restored_to_the_unit():
    network = build_network()
    network.deposit(7 * ETH)
    network.hub.time_out(network.withdraw(3 * ETH + 1))
    assert lien(network) == 7 * ETH
    result = network.relay(
        network.withdraw(3 * ETH + 1, receiver="nobody"), network.hub, network.spoke
    )
    assert result.code == 7
    assert lien(network) == 7 * ETH
    assert_collateral_identity(network)


def open_position(network, ether):
    deposit(network.hub.ctx, BOB, 500_000)
    place(network.hub.ctx, BOB, SELL, ether * ETHER, 200_000)
    place(network.hub.ctx, ALICE, BUY, ether * ETHER, 200_000)
    network.hub.collect()


def test_a_withdrawal_below_the_ratio_is_refused_and_nothing_changes():
    network = build_network()
    network.deposit(10 * ETH)
    open_position(network, 60)
    with pytest.raises(InsufficientMargin):
        network.withdraw(8 * ETH)
    assert lien(network) == 10 * ETH
    assert network.hub.collect() == []
    assert_collateral_identity(network)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount": str(8 * ETH)}, ChainError),
        ({"amount": "0"}, ChainError),
        ({"route_id": "beta"}, errors.RouteNotRegistered),
        ({"denom": "other"}, ChainError),
        ({"owner": BOB}, ChainError),
        ({"receiver": ""}, errors.InvalidWithdrawal),
        ({"receiver": "r" * 129}, errors.InvalidWithdrawal),
    ],
)
def test_bad_withdrawals_are_refused(changes, error):
    network = build_network()
    network.deposit(7 * ETH)
    fields = {
        "owner": ALICE,
        "route_id": "alpha",
        "denom": DENOM,
        "amount": str(ETH),
        "receiver": BOB,
        **changes,
    }
    with pytest.raises(error):
        deliver(
            network.hub.ctx,
            handlers.handle_withdraw_collateral,
            tx_pb2.MsgWithdrawCollateral(**fields),
        )
    assert lien(network) == 7 * ETH


def test_a_longer_delta_t_lowers_the_ratio_in_the_same_block():
    network = build_network()
    network.deposit(10 * ETH)
    open_position(network, 60)
    ctx = network.hub.ctx
    account = accounts.require_account(ctx, ACCOUNT)
    before = margin.compute_account_margin(ctx, account)
    set_route_figures(ctx, auction_duration_s=86_400)
    after = margin.compute_account_margin(ctx, account)
    assert after.equity_uusd < before.equity_uusd
    assert after.maintenance_uusd == before.maintenance_uusd


def test_heartbeats_measure_the_route_and_silence_ages_it():
    network = build_network()
    assert measure(network).relay_p95_ms == 30_000
    for _ in range(25):
        network.advance(10)
        (heartbeat,) = network.hub.collect()
        network.advance(2, hooks=False)
        assert network.relay(heartbeat, network.hub, network.spoke).code == 0
    assert measure(network).samples == 25
    assert 2_000 <= measure(network).relay_p95_ms <= 2_500
    assert measure(network).heartbeat_age_ms == 0
    delta_t_ms = measure(network).delta_t_ms
    for _ in range(20):
        network.advance(10)
    silent = measure(network)
    limit = state.get_params(network.hub.ctx).heartbeats_unanswered_max
    assert len(network.hub.collect()) == limit
    assert silent.heartbeat_age_ms >= 190_000
    assert silent.delta_t_ms >= delta_t_ms + 180_000


def test_a_heartbeat_that_times_out_counts_at_its_age():
    network = build_network()
    network.advance(10)
    (heartbeat,) = network.hub.collect()
    network.advance(700, hooks=False)
    network.hub.time_out(heartbeat)
    counts = state.get_measurements(network.hub.ctx, "alpha").histogram.counts
    assert sum(counts) == 1
    assert counts[measurement.compute_counts_after((), 700_000).index(1)] == 1


def test_one_sample_a_block_whatever_the_traffic():
    network = build_network()
    for _ in range(3):
        network.deposit(ETH)
    assert measure(network).samples == 1


def test_proof_age_and_security_follow_the_client():
    network = build_network()
    base = measure(network)
    assert base.proof_age_ms == 10_000
    assert base.security_ppm == 5_000 + 10_000
    ctx = network.hub.ctx
    ctx.time_ns += 8 * 86_400 * 10**9
    aged = measure(network)
    assert aged.proof_age_ms == 8 * 86_400_000 + 10_000
    assert aged.security_ppm == base.security_ppm + 20_000
    ctx.time_ns += 3 * 86_400 * 10**9
    assert measure(network).security_ppm == base.security_ppm + 50_000
    touch_client(ctx)
    set_route_figures(ctx, validators_for_third=3)
    assert measure(network).security_ppm == base.security_ppm + 10_000


def test_a_second_relayer_takes_the_step_away():
    network = build_network()
    route = state.require_route(network.hub.ctx, "alpha")
    for name in ("one", "two", "three", "two"):
        network.hub.ctx.time_ns += 1
        measurement.record_delivery(network.hub.ctx, route, 1, name)
    names = [seen.relayer for seen in state.iterate_relayers(network.hub.ctx, "alpha")]
    assert sorted(names) == ["three", "two"]
    assert measure(network).security_ppm == 5_000


def test_a_frozen_client_gives_no_credit_and_its_liens_fade():
    network = build_network()
    network.deposit(10 * ETH)
    ctx = network.hub.ctx
    client = clients.get_client_state(ctx, "07-tendermint-0")
    client.frozen_height.revision_height = 1
    clients.set_client_state(ctx, "07-tendermint-0", client)
    assert lock_packet(network).code == 5
    assert measure(network).status == pb.ROUTE_STATUS_FROZEN
    network.advance(1)
    assert state.require_route(ctx, "alpha").status == pb.ROUTE_STATUS_FROZEN
    network.advance(1_800)
    assert 500_000 <= measure(network).staleness_ppm < 510_000
    network.advance(1_800)
    assert measure(network).staleness_ppm == PPM


def test_the_guardian_pauses_and_only_the_council_reopens():
    network = build_network()
    ctx = network.hub.ctx
    pause = tx_pb2.MsgPauseRoute(sender=DAVE, route_id="alpha")
    with pytest.raises(errors.Unauthorized):
        handlers.handle_pause_route(ctx, pause)
    params = council.PARAMS.get(ctx)
    params.guardian = DAVE
    council.PARAMS.set(ctx, params)
    handlers.handle_pause_route(ctx, pause)
    assert lock_packet(network).code == 5
    paused_at_ns = state.require_route(ctx, "alpha").paused_at_ns
    with pytest.raises(NotAuthority):
        handlers.handle_unpause_route(ctx, tx_pb2.MsgUnpauseRoute(authority=DAVE, route_id="alpha"))
    handlers.handle_unpause_route(
        ctx, tx_pb2.MsgUnpauseRoute(authority=AUTHORITY, route_id="alpha")
    )
    assert lock_packet(network).code == 0
    network.advance(60, hooks=False)
    handlers.handle_pause_route(ctx, pause)
    assert state.require_route(ctx, "alpha").paused_at_ns == paused_at_ns


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, errors.RouteExists),
        ({"route_id": "second"}, errors.RouteExists),
        ({"route_id": "beta", "channel_id": "channel-1"}, errors.InvalidRoute),
        ({"route_id": "b", "channel_id": "channel-1", "connection_id": "c"}, errors.InvalidRoute),
        ({"route_id": "b", "channel_id": "channel-7"}, ChainError),
        ({"route_id": "no/slash"}, errors.InvalidRoute),
        ({"route_class": 0}, errors.InvalidRoute),
        ({"heartbeat_interval_s": 0}, errors.InvalidRoute),
        ({"stake_uusd": "0"}, ChainError),
        ({"status": pb.ROUTE_STATUS_NORMAL}, errors.InvalidRoute),
    ],
)
def test_routes_that_are_not_as_stated_are_refused(changes, error):
    network = build_network()
    open_channel(network.hub.ctx, "beta-1", "channel-1")
    with pytest.raises(error):
        handlers.handle_register_route(
            network.hub.ctx,
            tx_pb2.MsgRegisterRoute(authority=AUTHORITY, route=build_route(**changes)),
        )


def second(**changes):
    return build_route(
        **{
            "route_id": "beta",
            "chain_id": "beta-1",
            "client_id": "07-tendermint-1",
            "connection_id": "connection-1",
            "channel_id": "channel-1",
            **changes,
        }
    )


def test_a_client_with_other_trust_is_not_the_one_meant():
    network = build_network()
    ctx = network.hub.ctx
    open_channel(ctx, "beta-1", "channel-1")
    route = second()
    route.trust.trusting_period_s += 1
    with pytest.raises(errors.InvalidRoute):
        handlers.handle_register_route(
            ctx, tx_pb2.MsgRegisterRoute(authority=AUTHORITY, route=route)
        )
    with pytest.raises(NotAuthority):
        handlers.handle_register_route(ctx, tx_pb2.MsgRegisterRoute(authority=DAVE, route=second()))
    handlers.handle_register_route(
        ctx, tx_pb2.MsgRegisterRoute(authority=AUTHORITY, route=second())
    )
    assert [route.route_id for route in state.iterate_routes(ctx)] == ["alpha", "beta"]


def test_a_denom_of_a_chain_means_one_thing():
    network = build_network()
    with pytest.raises(errors.InvalidListing):
        handlers.handle_set_listing(
            network.hub.ctx,
            tx_pb2.MsgSetListing(authority=AUTHORITY, listing=build_listing(decimals=6)),
        )


def test_an_account_sees_each_factor_and_the_same_equity():
    network = build_network()
    network.deposit(10 * ETH)
    ctx = network.hub.ctx
    request = queries.query_pb2.QueryLiensRequest(owner=ALICE)
    (view,) = queries.query_liens(ctx, request).liens
    account = accounts.require_account(ctx, ACCOUNT)
    equity = margin.compute_account_margin(ctx, account).equity_uusd
    assert int(view.recognised_uusd) == equity
    assert int(view.value_uusd) == 20_000 * USD
    assert view.market_ppm == 150_000
    assert view.latency_ppm > 0


def test_genesis_round_trip_with_packets_in_flight():
    network = build_network()
    network.deposit(10 * ETH)
    network.withdraw(ETH)
    network.advance(10)
    ctx = network.hub.ctx
    exported = genesis.export_genesis(ctx)
    assert exported.flights
    assert exported.heartbeats
    for key, _ in list(ctx.kv(state.STORE).iterate()):
        ctx.kv(state.STORE).delete(key)
    genesis.init_genesis(ctx, exported)
    assert genesis.export_genesis(ctx) == exported
    assert_collateral_identity(network)


def test_queries_of_routes_and_totals():
    network = build_network()
    network.deposit(10 * ETH)
    network.withdraw(ETH)
    ctx = network.hub.ctx
    (route,) = queries.query_routes(ctx, queries.query_pb2.QueryRoutesRequest()).routes
    assert (route.samples, route.client_status) == (1, "Active")
    assert route.value_uusd == str(18_000 * USD)
    totals = queries.query_totals(ctx, queries.query_pb2.QueryTotalsRequest())
    assert totals.liens[0].amount == str(9 * ETH)
    assert totals.in_flight[0].amount == str(ETH)
    (flight,) = queries.query_packets_in_flight(
        ctx, queries.query_pb2.QueryPacketsInFlightRequest(route_id="alpha")
    ).flights
    assert flight.kind == pb.FLIGHT_KIND_RELEASE
