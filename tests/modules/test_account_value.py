"""What an account is worth and may do, on hub and spoke together: size over all of an owner's
accounts, packets in flight, leverage, moves between accounts, the initial rate by open interest."""

import pytest

from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain.modules.accounts import handlers as accounts_handlers
from chain.modules.accounts import margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.errors import InsufficientMargin
from chain.modules.accounts.types import AccountId
from chain.modules.collateral import state as collateral
from chain.units import PPM, WAD, ceil_div
from tests.modules.economy import (
    ALICE,
    BOB,
    BUY,
    CAROL,
    ETHER,
    MARKET,
    NOW,
    SELL,
    USD,
    advance,
    build_economy,
    build_market,
    deliver,
    deposit,
    get_account,
    place,
)
from tests.modules.margin_network import ETH, build_asset, build_network


def compute(ctx, owner=ALICE, number=0):
    return margin.compute_account_margin(
        ctx, accounts.require_account(ctx, AccountId(owner, number))
    )


def get_weight(network, owner=ALICE, number=0):
    (line,) = compute(network.hub.ctx, owner, number).liens
    assert line.factors.initial is None
    return line.factors.size_weight_ppm


def test_size_is_everything_the_owner_has_in_the_asset():
    """Row 2: an owner who splits 100 ETH over accounts is weighed by 1.1 / (1 + 0.1·√100)."""
    network = build_network()
    collateral.set_asset(network.hub.ctx, build_asset(size_factor_wad=str(WAD // 10)))
    for number, amount in ((0, 64), (1, 35), (127, 1)):
        network.deposit(amount * ETH, account=number)
    assert [get_weight(network, number=number) for number in (0, 1, 127)] == [550_000] * 3
    # 0.55 is below 1 - 0.15: it takes the place of the market haircut.
    (line,) = compute(network.hub.ctx).liens
    kept = 550_000
    for haircut in (line.factors.latency_ppm, line.factors.security_ppm):
        kept = kept * (PPM - haircut) // PPM
    assert line.value.haircut_ppm == PPM - kept
    assert line.value.counted_uusd == 64 * 2_000 * USD * kept // PPM
    # Another owner's 25 ETH are weighed by themselves: 1.1 / (1 + 0.5).
    network.deposit(25 * ETH, owner=BOB)
    assert get_weight(network, BOB) == 733_333
    assert get_weight(network) == 550_000


def test_an_asset_past_its_start_scales_for_everybody():
    """Row 2: with 80 ETH over all accounts and a start of 50 every weight is 50/80 of itself."""
    network = build_network()
    collateral.set_asset(network.hub.ctx, build_asset(scale_start_wad=str(50 * WAD)))
    network.deposit(50 * ETH)
    assert get_weight(network) == PPM
    network.deposit(30 * ETH, owner=BOB)
    assert get_weight(network) == get_weight(network, BOB) == 625_000


def test_what_is_in_flight_counts_against_the_account():
    """Row 9: a deposit counts once it is proven, a withdrawal is gone when it is sent."""
    network = build_network()
    ctx = network.hub.ctx
    network.deposit(10 * ETH)
    before = compute(ctx).equity_uusd
    packet = network.lock(5 * ETH)
    assert compute(ctx).equity_uusd == before
    network.relay(packet, network.spoke, network.hub)
    assert compute(ctx).equity_uusd == before * 3 // 2
    flight = network.withdraw(5 * ETH)
    assert compute(ctx).equity_uusd == before
    network.hub.time_out(flight)
    assert compute(ctx).equity_uusd == before * 3 // 2


def test_total_notional_is_limited_by_leverage():
    """Row 8: with a leverage of 2 an account of 10,000 USD reaches 20,000, to the step."""
    ctx = build_economy(market=build_market(maker_fee_ppm=0, taker_fee_ppm=0))
    params = accounts.pb.Params()
    params.CopyFrom(accounts.get_params(ctx))
    params.leverage_max = 2
    accounts.set_params(ctx, params)
    deposit(ctx, ALICE, 500_000)
    deposit(ctx, BOB, 10_000)
    place(ctx, ALICE, SELL, 20 * ETHER, 200_000)
    with pytest.raises(InsufficientMargin, match="above 2 times initial equity"):
        place(ctx, BOB, BUY, 10 * ETHER + 1_000, 200_000)
    place(ctx, BOB, BUY, 10 * ETHER, 200_000, tif=NOW)
    assert get_account(ctx, BOB).positions[MARKET].size_quantums == 10 * ETHER
    # Resting orders count as if they were filled.
    with pytest.raises(InsufficientMargin, match="above 2 times initial equity"):
        place(ctx, BOB, BUY, 1_000, 199_000)


def test_cash_leaves_an_account_for_another_only_above_the_ratio():
    """Row 6: a transfer between accounts needs what a withdrawal needs, to the unit."""
    ctx = build_economy(market=build_market(maker_fee_ppm=0, taker_fee_ppm=0))
    deposit(ctx, ALICE, 500_000)
    deposit(ctx, BOB, 10_000)
    place(ctx, ALICE, SELL, 20 * ETHER, 200_000)
    place(ctx, BOB, BUY, 20 * ETHER, 200_000, tif=NOW)

    def transfer(amount):
        message = accounts_tx.MsgTransferCash(
            owner=BOB, from_number=0, to_number=1, amount_uusd=str(amount)
        )
        deliver(ctx, accounts_handlers.handle_transfer_cash, message)

    held = compute(ctx, BOB)
    free = min(
        held.equity_initial_uusd - held.initial_uusd,
        held.equity_uusd - ceil_div(held.maintenance_uusd * 5, 4),
    )
    assert 0 < free < 10_000 * USD
    with pytest.raises(InsufficientMargin):
        transfer(free + 1)
    assert accounts.get_account(ctx, AccountId(BOB, 1)) is None
    transfer(free)
    assert get_account(ctx, BOB, 1).cash_uusd == free
    with pytest.raises(InsufficientMargin):
        transfer(1)


def test_the_initial_rate_rises_with_open_interest():
    """Row 13: halfway from 20,000 to 60,000 USD of open interest the rate is 10 % + 90 % / 2."""
    ctx = build_economy(
        market=build_market(
            open_interest_lower_uusd=str(20_000 * USD), open_interest_upper_uusd=str(60_000 * USD)
        )
    )
    for trader in (ALICE, BOB, CAROL):
        deposit(ctx, trader, 300_000)
    rates = []
    for size in (10, 10, 20):
        place(ctx, ALICE, SELL, size * ETHER, 200_000)
        place(ctx, BOB, BUY, size * ETHER, 200_000, tif=NOW)
        (line,) = compute(ctx, BOB).positions
        rates.append(line.terms.initial_ppm)
        assert line.terms.maintenance_ppm == 50_000
    assert rates == [100_000, 550_000, PPM]
    # The margin follows: all of the notional and the premium of 1.25 times the volatility.
    premium = ceil_div(80_000 * USD * line.terms.latency_initial_ppm, PPM)
    assert line.initial_uusd == 80_000 * USD + premium
    # It falls with the price of what is open.
    advance(ctx, 1, ETH=1_000, USDC=1)
    (line,) = compute(ctx, BOB).positions
    assert line.terms.initial_ppm == 550_000
