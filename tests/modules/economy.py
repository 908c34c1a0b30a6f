"""A small economy on one branch: priced assets, one market, traders with coins."""

from dataclasses import replace

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain.modules.accounts import genesis as accounts_genesis
from chain.modules.accounts import handlers as accounts_handlers
from chain.modules.accounts import state as accounts
from chain.modules.accounts.params import build_default_params as build_accounts_params
from chain.modules.accounts.types import AccountId, LienKey
from chain.modules.bank import state as bank
from chain.modules.collateral import measurement
from chain.modules.markets import genesis as markets_genesis
from chain.modules.markets import handlers as markets_handlers
from chain.modules.markets import state as markets
from chain.modules.markets.params import build_default_params as build_markets_params
from chain.modules.oracle import genesis as oracle_genesis
from chain.modules.oracle import state as oracle
from chain.modules.oracle.params import build_default_params as build_oracle_params
from chain.modules.oracle.types import Vote as AssetVote
from chain.modules.oracle.votes import OracleVoteExtensions, encode_votes
from chain.risk.haircut import HaircutFactors
from chain.runtime.address import encode_address
from chain.runtime.context import Context
from chain.runtime.module import Vote
from chain.runtime.store import Branch, EmptyState
from chain.units import NANOSECONDS, PPM, WAD

START_NS = 1_800_000_000 * NANOSECONDS
ALICE, BOB, CAROL, DAVE = (encode_address(bytes([index]) * 20) for index in (1, 2, 3, 4))
MARKET = "ETH-USD"
ETHER = 10**6  # quantums: ETH-USD counts millionths
USD = 10**6  # uusd
POWERS = (10, 10, 10, 10)
ETH_LIEN = LienKey("alpha-1", "aeth", "main", "alpha")

GOOD, NOW, POST = (
    markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL,
    markets_pb2.TIME_IN_FORCE_IMMEDIATE_OR_CANCEL,
    markets_pb2.TIME_IN_FORCE_POST_ONLY,
)
BUY, SELL = markets_pb2.SIDE_BUY, markets_pb2.SIDE_SELL


def build_asset_params(asset, **changes):
    fields = {
        "asset": asset,
        "sources_min": 2,
        "step_ppm_max": 500_000,
        "outlier_ppm": 100_000,
        "confidence_ppm_min": 900_000,
        "volatility_initial_wad": str(80 * WAD // 100),
        "volatility_max_wad": str(10 * WAD),
    }
    return oracle_pb2.AssetParams(**{**fields, **changes})


def build_market(**changes):
    fields = {
        "id": MARKET,
        "asset": "ETH",
        "status": markets_pb2.MARKET_STATUS_ACTIVE,
        "quantum_decimals": 6,
        "tick_wad": str(WAD // 100),
        "step_quantums": "1000",
        "initial_ppm": 100_000,
        "maintenance_ppm": 50_000,
        "volatility_floor_wad": str(40 * WAD // 100),
        "horizon_s": 60,
        "open_interest_max_uusd": str(10**9 * USD),
        "maker_fee_ppm": 200,
        "taker_fee_ppm": 500,
        "funding_ppm_max": 1_000,
        "price_band_ppm": 100_000,
        "kind": markets_pb2.INSTRUMENT_KIND_PERPETUAL,
    }
    return markets_pb2.Market(**{**fields, **changes})


def build_economy(*, market=None, assets=None):
    """A context at height 1 with prices of ETH 2,000 and USDC 1, and 1,000,000 USD a trader."""
    ctx = Context("hub-1", 1, START_NS, Branch(EmptyState()))
    oracle_params = build_oracle_params()
    oracle_params.assets.extend(assets or [build_asset_params("ETH"), build_asset_params("USDC")])
    oracle_genesis.init_genesis(ctx, oracle_pb2.GenesisState(params=oracle_params))
    markets_genesis.init_genesis(
        ctx,
        markets_pb2.GenesisState(
            params=build_markets_params(),
            markets=[market or build_market()],
            next_order_id=1,
            next_fill_id=1,
        ),
    )
    accounts_genesis.init_genesis(ctx, accounts_pb2.GenesisState(params=build_accounts_params()))
    for trader in (ALICE, BOB, CAROL, DAVE):
        bank.mint(ctx, trader, "uusd", 1_000_000 * USD)
    agree(ctx, ETH=2_000, USDC=1)
    ctx.events.clear()
    return ctx


def vote(asset, price_wad, time_ns, *, sources=3, confidence=PPM):
    return AssetVote(asset, price_wad, sources, confidence, time_ns)


def agree(ctx, *, powers=POWERS, **prices):
    """All validators vote these USD prices in the block being executed."""
    extension = encode_votes(
        [vote(asset, price * WAD, ctx.time_ns) for asset, price in sorted(prices.items())]
    )
    votes = [Vote(bytes([index]) * 20, power, extension) for index, power in enumerate(powers)]
    OracleVoteExtensions().process_votes(ctx, votes)


def advance(ctx, seconds=1, **prices):
    """The next block, with new prices when given."""
    ctx.height += 1
    ctx.time_ns += seconds * NANOSECONDS
    if prices:
        agree(ctx, **prices)


def deliver(ctx, handler, msg):
    """A message in a branch of its own, as the application runs it."""
    with ctx.branch() as child:
        return handler(child, msg)


def deposit(ctx, owner, usd, number=0):
    deliver(
        ctx,
        accounts_handlers.handle_deposit_cash,
        accounts_tx.MsgDepositCash(
            sender=owner, owner=owner, number=number, amount_uusd=str(usd * USD)
        ),
    )


def withdraw(ctx, owner, uusd, number=0):
    return deliver(
        ctx,
        accounts_handlers.handle_withdraw_cash,
        accounts_tx.MsgWithdrawCash(owner=owner, number=number, amount_uusd=str(uusd)),
    )


def order(owner, side, quantums, price=None, *, tif=GOOD, reduce_only=False, number=0):
    """A MsgPlaceOrder; `price` in USD cents makes whole ticks, None is a market order."""
    return markets_tx.MsgPlaceOrder(
        owner=owner,
        number=number,
        market=MARKET,
        side=side,
        size_quantums=str(quantums),
        price_wad="" if price is None else str(price * WAD // 100),
        time_in_force=tif,
        reduce_only=reduce_only,
    )


def place(ctx, *args, **kwargs):
    return deliver(ctx, markets_handlers.handle_place_order, order(*args, **kwargs))


def get_account(ctx, owner, number=0):
    return accounts.require_account(ctx, AccountId(owner, number))


def assert_cash_backed(ctx):
    """The coins behind all cash are there to the unit."""
    ledger = accounts.compute_ledger(ctx)
    assert bank.get_balance(ctx, accounts.MODULE_ADDRESS, "uusd") == ledger.expected_balance_uusd


def assert_identities(ctx):
    """Coins behind all accounts to the unit; positions net to zero; supply unchanged."""
    assert_cash_backed(ctx)
    size = long = 0
    for account in accounts.iterate_accounts(ctx):
        position = account.positions.get(MARKET)
        if position:
            assert position.size_quantums != 0
            size += position.size_quantums
            long += max(0, position.size_quantums)
    assert size == 0
    assert markets.get_market_state(ctx, MARKET).open_interest_quantums == long
    assert bank.find_broken_supply(ctx) is None


def fix_haircuts(monkeypatch, **changes):
    """Every lien is ETH with these factors, instead of what a route would measure."""
    factors = HaircutFactors("ETH", 18, 0, 150_000, PPM, 12_822, 20_000, 0)

    def get_lien_haircut(_ctx, _owner, _lien, amount, _shared=None):
        return replace(factors, recognized_amount=amount, **changes)

    monkeypatch.setattr(measurement, "get_lien_haircut", get_lien_haircut)


def set_step_bound(ctx, asset="ETH"):
    """Mark the price as still moving."""
    price = oracle.get_price(ctx, asset)
    oracle.set_price(ctx, replace(price, step_bound_active=True))


def correlate(ctx, rho_ppm):
    """BTC and ETH correlate so much by governance."""
    params = oracle_pb2.Params()
    params.CopyFrom(oracle.get_params(ctx))
    del params.correlation.assets[:], params.correlation.prior_ppm[:]
    params.correlation.assets.extend(["BTC", "ETH"])
    params.correlation.prior_ppm.extend([PPM, rho_ppm, rho_ppm, PPM])
    oracle.set_params(ctx, params)
