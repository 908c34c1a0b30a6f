import pytest

from chain._pb.margin.liquidation.v1 import liquidation_pb2 as pb
from chain._pb.margin.liquidation.v1 import tx_pb2
from chain.errors import ChainError
from chain.ibc.client import state as clients
from chain.modules.accounts import state as accounts
from chain.modules.accounts.types import AccountId, AccountStatus
from chain.modules.bank import state as bank
from chain.modules.insurance import state as insurance
from chain.modules.liquidation import auctions, errors, genesis, handlers, queries, state
from chain.modules.liquidation.types import MODULE_ADDRESS
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    DAVE,
    ETHER,
    SELL,
    USD,
    assert_identities,
    deliver,
    deposit,
    place,
)
from tests.modules.margin_network import (
    DENOM,
    ETH,
    assert_collateral_identity,
    build_network,
)

ACCOUNT = AccountId(ALICE, 0)


def open_position(*, ether=60, insurance_usd=100_000):
    """ALICE holds 10 ETH of collateral and a long bought from BOB at 2,000."""
    network = build_network(insurance_usd=insurance_usd)
    network.advance(ETH=2_000)
    assert network.deposit(10 * ETH).code == 0
    ctx = network.hub.ctx
    deposit(ctx, BOB, 500_000)
    deposit(ctx, DAVE, 500_000)
    place(ctx, BOB, SELL, ether * ETHER, 200_000)
    place(ctx, ALICE, BUY, ether * ETHER, 200_000)
    network.hub.collect()
    return network


def tiers(network):
    return [row.tier for row in state.iterate_history(network.hub.ctx, ACCOUNT)]


def quote_bids(network, price_cents, ether=100):
    """DAVE stands ready to buy at a price."""
    place(network.hub.ctx, DAVE, BUY, ether * ETHER, price_cents)


def crash(network, price, *, blocks=14, bid_cents=None):
    """A new price, bids at it, and some blocks."""
    network.advance(ETH=price, hooks=False)
    quote_bids(network, bid_cents or price * 100)
    for _ in range(blocks):
        network.advance(ETH=price)
    network.hub.collect()


def bid(network, *, bidder=CAROL, receiver=CAROL, amount=10 * ETH, limit=10**40, auction_id=1):
    response = deliver(
        network.hub.ctx,
        handlers.handle_bid,
        tx_pb2.MsgBid(
            bidder=bidder,
            auction_id=auction_id,
            amount=str(amount),
            max_price_ray=str(limit),
            receiver=receiver,
        ),
    )
    (packet,) = [p for p in network.hub.collect() if b"seize-" in p.data]
    return response, packet


def cash(network):
    return accounts.require_account(network.hub.ctx, ACCOUNT).cash_uusd


def get_state(network):
    return accounts.get_margin_state(network.hub.ctx, ACCOUNT)[0].name


def test_a_margin_call_is_recorded_once_and_ends_when_the_ratio_recovers():
    network = open_position()
    network.advance(ETH=2_000)
    assert tiers(network) == []
    for _ in range(3):
        network.advance(ETH=1_868)
    assert get_state(network) == "MARGIN_CALL"
    assert tiers(network) == [pb.TIER_MARGIN_CALL]
    for _ in range(3):
        network.advance(ETH=2_000)
    assert tiers(network)[-1] == pb.TIER_ENDED
    assert state.get_case(network.hub.ctx, ACCOUNT) is None


def test_reduce_stops_at_the_target_without_locking():
    network = open_position()
    network.advance(ETH=1_858, hooks=False)
    quote_bids(network, 185_800)
    for _ in range(6):
        network.advance(ETH=1_858)
    assert pb.TIER_REDUCE in tiers(network)
    account = accounts.require_account(network.hub.ctx, ACCOUNT)
    assert account.status is AccountStatus.ACTIVE
    assert 0 < account.positions["ETH-USD"].size_quantums < 60 * ETHER
    assert get_state(network) == "MARGIN_CALL"
    assert_identities(network.hub.ctx)


def test_the_whole_story_settles_the_debt_only_on_the_acknowledgement():
    network = open_position()
    crash(network, 1_770)
    ctx = network.hub.ctx
    account = accounts.require_account(ctx, ACCOUNT)
    assert account.status is AccountStatus.LOCKED
    assert account.positions == {}
    debt = -account.cash_uusd
    assert debt > 0
    response, packet = bid(network)
    assert cash(network) == -debt
    assert bank.get_balance(ctx, MODULE_ADDRESS, "uusd") == int(response.owed_uusd)
    assert_collateral_identity(network)
    fund = insurance.get_balance(ctx)
    assert network.relay(packet, network.hub, network.spoke).code == 0
    fee = insurance.get_balance(ctx) - fund
    assert cash(network) + debt == int(response.owed_uusd) - fee
    assert bank.get_balance(network.spoke.ctx, CAROL, DENOM) == int(response.amount)
    assert bank.get_balance(ctx, MODULE_ADDRESS, "uusd") == 0
    assert_collateral_identity(network)
    assert_identities(ctx)
    network.advance(ETH=1_770)
    seen = tiers(network)
    assert seen == sorted(seen)
    assert seen[0] == pb.TIER_MARGIN_CALL
    assert pb.TIER_CLOSE in seen
    assert pb.TIER_AUCTION in seen


def test_a_seizure_dropped_twice_seizes_once_and_pays_once():
    network = open_position()
    crash(network, 1_770)
    response, packet = bid(network)
    before = cash(network)
    supply = bank.get_supply(network.hub.ctx, "uusd")
    for _ in range(2):
        network.hub.time_out(packet)
        (packet,) = [p for p in network.hub.collect() if b"seize-" in p.data]
        assert cash(network) == before
        assert_collateral_identity(network)
    acknowledgement = network.spoke.receive(packet)
    network.spoke.receive(packet)
    network.hub.acknowledge(packet, acknowledgement)
    assert bank.get_balance(network.spoke.ctx, CAROL, DENOM) == int(response.amount)
    assert cash(network) > before
    assert bank.get_supply(network.hub.ctx, "uusd") == supply
    assert_collateral_identity(network)
    assert_identities(network.hub.ctx)


def test_when_attempts_run_out_bid_and_lien_return_to_the_unit():
    network = open_position()
    crash(network, 1_770)
    ctx = network.hub.ctx
    coins = bank.get_balance(ctx, CAROL, "uusd")
    liens = dict(accounts.require_account(ctx, ACCOUNT).liens)
    auction = state.require_auction(ctx, 1)
    _, packet = bid(network)
    for _ in range(state.PARAMS.get(ctx).seize_attempts_max):
        network.hub.time_out(packet)
        packets = [p for p in network.hub.collect() if b"seize-" in p.data]
        packet = packets[0] if packets else None
    assert packet is None
    assert bank.get_balance(ctx, CAROL, "uusd") == coins
    assert accounts.require_account(ctx, ACCOUNT).liens == liens
    seizure = state.get_seizure(ctx, "seize-1")
    assert seizure.status == pb.SEIZURE_STATUS_RETURNED
    after = state.require_auction(ctx, 1)
    if after.status == pb.AUCTION_STATUS_ACTIVE:
        assert after.lot_amount == auction.lot_amount
    assert_collateral_identity(network)
    network.advance(ETH=1_770)
    assert state.has_open_auction(ctx, ACCOUNT)


def test_an_insolvent_account_sells_all_then_insurance_pays_the_rest():
    network = open_position()
    crash(network, 1_600, blocks=16, bid_cents=160_000)
    ctx = network.hub.ctx
    for auction_id in range(1, 6):
        if accounts.require_account(ctx, ACCOUNT).cash_uusd >= 0:
            break
        if auction_id >= state.get_next_auction_id(ctx):
            break
        _, packet = bid(network, auction_id=auction_id)
        network.relay(packet, network.hub, network.spoke)
        network.advance(ETH=1_600)
        network.hub.collect()
    assert cash(network) >= 0
    account = accounts.require_account(ctx, ACCOUNT)
    assert account.liens == {}
    assert account.status is AccountStatus.ACTIVE
    assert insurance.get_balance(ctx) < 100_000 * USD
    assert pb.TIER_INSURANCE in tiers(network)
    assert_collateral_identity(network)
    assert_identities(ctx)


def test_a_poor_fund_leaves_a_recorded_deficit_and_a_locked_account():
    network = open_position(insurance_usd=10)
    crash(network, 1_600, blocks=16)
    ctx = network.hub.ctx
    for auction_id in range(1, 4):
        if auction_id >= state.get_next_auction_id(ctx):
            break
        _, packet = bid(network, auction_id=auction_id)
        network.relay(packet, network.hub, network.spoke)
        network.advance(ETH=1_600)
        network.hub.collect()
    deficit = insurance.get_deficit(ctx, ACCOUNT)
    assert deficit == -cash(network) > 0
    assert accounts.require_account(ctx, ACCOUNT).status is AccountStatus.LOCKED
    assert tiers(network)[-1] == pb.TIER_DEFICIT
    rows = len(tiers(network))
    network.advance(ETH=1_600)
    assert len(tiers(network)) == rows
    assert_identities(ctx)


def test_without_bids_on_the_book_insurance_takes_the_position():
    network = open_position()
    for _ in range(30):
        network.advance(ETH=1_770)
    ctx = network.hub.ctx
    assert accounts.require_account(ctx, ACCOUNT).positions == {}
    fund = accounts.require_account(ctx, insurance.POSITION_ACCOUNT)
    assert fund.positions["ETH-USD"].size_quantums == 60 * ETHER
    assert_identities(ctx)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"bidder": ALICE}, errors.InvalidBid),
        ({"limit": 1}, errors.PriceAboveLimit),
        ({"auction_id": 9}, errors.AuctionNotFound),
        ({"receiver": "nobody"}, ChainError),
        ({"amount": 0}, ChainError),
    ],
)
def test_bad_bids_are_refused_and_escrow_nothing(changes, error):
    network = open_position()
    crash(network, 1_770)
    with pytest.raises(error):
        bid(network, **changes)
    assert bank.get_balance(network.hub.ctx, MODULE_ADDRESS, "uusd") == 0


def test_the_price_falls_and_an_old_auction_waits_for_its_keeper():
    network = open_position()
    crash(network, 1_770)
    ctx = network.hub.ctx
    auction = state.require_auction(ctx, 1)
    first = auctions.get_price_ray(ctx, auction)
    message = tx_pb2.MsgResetAuction(keeper=DAVE, auction_id=1)
    with pytest.raises(errors.ResetNotDue):
        deliver(ctx, handlers.handle_reset_auction, message)
    network.advance(60, ETH=1_770)
    assert auctions.get_price_ray(ctx, auction) < first
    network.advance(3_600, ETH=1_770)
    with pytest.raises(errors.AuctionClosed):
        bid(network)
    coins = bank.get_balance(ctx, DAVE, "uusd")
    paid = deliver(ctx, handlers.handle_reset_auction, message).incentive_uusd
    assert int(paid) > 0
    assert bank.get_balance(ctx, DAVE, "uusd") == coins + int(paid)
    bid(network)


def test_a_debt_paid_in_cash_ends_the_auction():
    network = open_position()
    crash(network, 1_770)
    ctx = network.hub.ctx
    assert state.has_open_auction(ctx, ACCOUNT)
    deposit(ctx, ALICE, -cash(network) // USD + 1)
    network.advance(ETH=1_770)
    account = accounts.require_account(ctx, ACCOUNT)
    assert account.status is AccountStatus.ACTIVE
    assert sum(account.liens.values()) == 10 * ETH
    with pytest.raises(errors.AuctionClosed):
        bid(network)
    assert tiers(network)[-1] == pb.TIER_ENDED


def test_a_frozen_route_stops_the_sale_and_says_why():
    network = open_position()
    network.advance(ETH=1_770, hooks=False)
    quote_bids(network, 177_000)
    for _ in range(6):
        network.advance(ETH=1_770)
    client = clients.get_client_state(network.hub.ctx, "07-tendermint-0")
    client.frozen_height.revision_height = 1
    clients.set_client_state(network.hub.ctx, "07-tendermint-0", client)
    for _ in range(8):
        network.advance(ETH=1_770)
    history = list(state.iterate_history(network.hub.ctx, ACCOUNT))
    assert [row.reason for row in history].count(history[-1].reason) == 1
    assert "frozen" in history[-1].reason
    assert not state.has_open_auction(network.hub.ctx, ACCOUNT)


def test_a_stale_price_liquidates_nobody():
    network = open_position()
    network.advance(ETH=1_770, hooks=False)
    quote_bids(network, 177_000)
    network.advance(3_600)
    for _ in range(3):
        network.advance()
    account = accounts.require_account(network.hub.ctx, ACCOUNT)
    assert account.status is AccountStatus.ACTIVE
    assert account.positions["ETH-USD"].size_quantums == 60 * ETHER
    assert any(event.type == "liquidation_failed" for event in network.hub.ctx.events)


def test_genesis_round_trip_with_an_auction_in_flight():
    network = open_position()
    crash(network, 1_770)
    bid(network)
    ctx = network.hub.ctx
    exported = genesis.export_genesis(ctx)
    assert exported.auctions
    assert exported.seizures
    for key, _ in list(ctx.kv(state.STORE).iterate()):
        ctx.kv(state.STORE).delete(key)
    genesis.init_genesis(ctx, exported)
    assert genesis.export_genesis(ctx) == exported


def test_queries_show_auction_and_history():
    network = open_position()
    crash(network, 1_770)
    ctx = network.hub.ctx
    view = queries.query_auctions(ctx, queries.query_pb2.QueryAuctionsRequest()).auctions[0]
    assert int(view.price_ray) > 0
    rows = queries.query_history(ctx, queries.query_pb2.QueryHistoryRequest(owner=ALICE)).rows
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    (case,) = queries.query_cases(ctx, queries.query_pb2.QueryCasesRequest()).cases
    assert case.owner == ALICE
    with pytest.raises(errors.AuctionNotFound):
        queries.query_seizure(ctx, queries.query_pb2.QuerySeizureRequest(seize_id="x"))
