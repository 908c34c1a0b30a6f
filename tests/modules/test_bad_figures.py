"""Figures that no message may carry: each is refused by its rule and field, and nothing is written.

One table over the modules that feed the risk engine: prices of zero, below it and of 2^128,
volatilities of zero and beyond reason, expiries in the past, strikes twice, matrices that are no
correlations, parameters out of bounds, sets without rows, numbers in other notations.
"""

import pytest

from chain._pb.margin.accounts.v1 import tx_pb2 as accounts_tx
from chain._pb.margin.collateral.v1 import tx_pb2 as collateral_tx
from chain._pb.margin.markets.v1 import markets_pb2
from chain._pb.margin.markets.v1 import tx_pb2 as markets_tx
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain._pb.margin.oracle.v1 import tx_pb2 as oracle_tx
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain._pb.margin.scenarios.v1 import tx_pb2 as scenarios_tx
from chain.errors import ChainError
from chain.modules.accounts import handlers as accounts_handlers
from chain.modules.accounts import state as accounts
from chain.modules.collateral import handlers as collateral_handlers
from chain.modules.council.types import authority_address
from chain.modules.markets import handlers as markets_handlers
from chain.modules.oracle import handlers as oracle_handlers
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import genesis as scenarios_genesis
from chain.modules.scenarios import handlers as scenarios_handlers
from chain.units import PPM, WAD
from tests.modules.economy import ALICE, BUY, ETHER, build_asset_params, deliver, deposit
from tests.modules.instruments import (
    CALL,
    START_S,
    build_future,
    build_option,
    build_put,
    build_spot,
    list_market,
)
from tests.modules.margin_network import build_asset, build_listing, build_network

AUTHORITY = authority_address()
HUGE = str(2**128)


@pytest.fixture(scope="module")
def ctx():
    """A hub with a route, instruments and a scenario set; tests write in branches alone."""
    context = build_network().hub.ctx
    params = oracle_pb2.Params()
    params.CopyFrom(oracle.get_params(context))
    params.assets.insert(0, build_asset_params("BTC"))
    oracle.set_params(context, params)
    for market in (build_option(), build_put(), build_future(), build_spot()):
        list_market(context, market)
    scenarios_genesis.init_genesis(context, scenarios_genesis.build_default_genesis())
    deposit(context, ALICE, 100_000)
    return context


def order(**changes):
    fields = {
        "owner": ALICE,
        "market": CALL,
        "side": BUY,
        "size_quantums": str(ETHER),
        "price_wad": str(200 * WAD),
        "time_in_force": markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL,
    }
    return markets_handlers.handle_place_order, markets_tx.MsgPlaceOrder(**fields | changes)


def listing(build=build_option, **changes):
    market = build(**{"id": "ETH-NEW", "strike_wad": str(2_100 * WAD)} | changes)
    if build is not build_option:
        market.ClearField("strike_wad")
        if "strike_wad" in changes:
            market.strike_wad = changes["strike_wad"]
    message = markets_tx.MsgListMarket(authority=AUTHORITY, market=market)
    return markets_handlers.handle_list_market, message


def series(strikes, **changes):
    template = build_option(**changes)
    for field in ("id", "strike_wad", "option_kind"):
        template.ClearField(field)
    message = markets_tx.MsgListOptionSeries(
        authority=AUTHORITY,
        template=template,
        strikes_wad=strikes,
        kinds=[markets_pb2.OPTION_KIND_CALL],
    )
    return markets_handlers.handle_list_option_series, message


def scenarios(**changes):
    fields = {"asset": "ETH", "preset": "pmrm21", "stable_asset": "USDC"}
    message = scenarios_tx.MsgUpdateUnderlying(
        authority=AUTHORITY, underlying=scenarios_pb2.Underlying(**fields | changes)
    )
    return scenarios_handlers.handle_update_underlying, message


def rows(**changes):
    fields = {"spot_wad": str(WAD), "volatility": 1, "weight_ppm": PPM}
    return scenarios(preset="custom", scenarios=[scenarios_pb2.Scenario(**fields | changes)])


def parameter(name, value):
    return scenarios(parameters=[scenarios_pb2.Parameter(name=name, value=value)])


def standard_parameter(name, value):
    return scenarios(standard_parameters=[scenarios_pb2.Parameter(name=name, value=value)])


def oracle_asset(**changes):
    def build(ctx):
        params = oracle_pb2.Params()
        params.CopyFrom(oracle.get_params(ctx))
        for name, value in changes.items():
            setattr(params.assets[0], name, value)
        message = oracle_tx.MsgUpdateParams(authority=AUTHORITY, params=params)
        return oracle_handlers.handle_update_params, message

    return build


def correlation(assets, prior_ppm):
    def build(ctx):
        params = oracle_pb2.Params()
        params.CopyFrom(oracle.get_params(ctx))
        del params.correlation.assets[:], params.correlation.prior_ppm[:]
        params.correlation.assets.extend(assets)
        params.correlation.prior_ppm.extend(prior_ppm)
        message = oracle_tx.MsgUpdateParams(authority=AUTHORITY, params=params)
        return oracle_handlers.handle_update_params, message

    return build


def collateral_asset(**changes):
    message = collateral_tx.MsgSetAsset(authority=AUTHORITY, asset=build_asset(**changes))
    return collateral_handlers.handle_set_asset, message


def collateral_listing(**changes):
    message = collateral_tx.MsgSetListing(authority=AUTHORITY, listing=build_listing(**changes))
    return collateral_handlers.handle_set_listing, message


def account_params(**changes):
    def build(ctx):
        params = accounts.pb.Params()
        params.CopyFrom(accounts.get_params(ctx))
        for name, value in changes.items():
            setattr(params, name, value)
        message = accounts_tx.MsgUpdateParams(authority=AUTHORITY, params=params)
        return accounts_handlers.handle_update_params, message

    return build


def withdrawal(**changes):
    fields = {"owner": ALICE, "number": 0, "amount_uusd": "1"}
    return accounts_handlers.handle_withdraw_cash, accounts_tx.MsgWithdrawCash(**fields | changes)


BAD = {
    # Prices and strikes of zero, below it, of 2^128, and in other notations.
    **{
        f"order price {price}": (order(price_wad=price), "price")
        for price in ("0", "-1", str(2**256), "2e21", "NaN", "0x1", "1.0")
    },
    "order price 2^128 USD": (order(price_wad=str(2**128 * WAD)), "price"),
    **{
        f"strike {strike}": (listing(strike_wad=strike), "strike")
        for strike in ("0", "-1", str(2**256), HUGE, "1e18", "")
    },
    "strike of a future": (listing(build_future, strike_wad="1"), "strike"),
    "tick 0": (listing(tick_wad="0"), "tick"),
    "size 0": (order(size_quantums="0"), "size"),
    "size 2^256": (order(size_quantums=str(2**256)), "size"),
    # Volatilities.
    "volatility floor of 10,000 %": (
        listing(volatility_floor_wad=str(101 * WAD)),
        "volatility_floor",
    ),
    "volatility floor below 0": (listing(volatility_floor_wad="-1"), "volatility_floor"),
    "volatility 0": (oracle_asset(volatility_initial_wad="0"), "volatility_initial"),
    "volatility above its most": (
        oracle_asset(volatility_initial_wad=str(11 * WAD)),
        "volatility_initial",
    ),
    "most volatility": (oracle_asset(volatility_max_wad=str(101 * WAD)), "volatility_max"),
    "volatility as a float": (oracle_asset(volatility_initial_wad="8e17"), "volatility_initial"),
    # Expiries.
    "expiry in the past": (listing(expiry_time_s=START_S - 60), "after the block time"),
    "expiry now": (listing(expiry_time_s=START_S), "after the block time"),
    "expiry of a future in the past": (
        listing(build_future, expiry_time_s=60),
        "after the block time",
    ),
    "no expiry": (listing(expiry_time_s=0), "expiry"),
    "expiry in a century": (listing(expiry_time_s=START_S + 36_525 * 86_400), "expiry"),
    # Duplicates.
    "option listed twice": (listing(strike_wad=str(2_000 * WAD)), "same terms"),
    "strike twice in a series": (series(["1", "1"]), "ascend"),
    "strike of 0 in a series": (series(["0"]), "strikes_wad"),
    "65 options in a series": (series([str(WAD * n) for n in range(1, 66)]), "1 to 64"),
    "series in the past": (series([str(WAD)], expiry_time_s=START_S - 60), "after the block time"),
    # Correlations.
    "no correlation of itself": (correlation(["BTC", "ETH"], [PPM, 0, 0, PPM - 1]), "[1][1]"),
    "asymmetric": (correlation(["BTC", "ETH"], [PPM, 1, 2, PPM]), "[0][1]"),
    "beyond one": (correlation(["BTC", "ETH"], [PPM, PPM + 1, PPM + 1, PPM]), "[0][1]"),
    "entry missing": (correlation(["BTC", "ETH"], [PPM, 0, 0]), "prior_ppm"),
    "not semi-definite": (
        correlation(
            ["BTC", "ETH", "USDC"],
            [PPM, 900_000, -900_000, 900_000, PPM, 900_000, -900_000, 900_000, PPM],
        ),
        "positive semi-definite",
    ),
    # Scenario sets and parameters.
    "no rows": (scenarios(preset="custom"), "0 rows"),
    "a price below zero": (rows(spot_wad="-1"), "spot_wad"),
    "spot times 101": (rows(spot_wad=str(101 * WAD)), "scenarios[0].spot"),
    "spot as a float": (rows(spot_wad="1.5"), "spot_wad"),
    "weight 0": (rows(weight_ppm=0), "scenarios[0].weight"),
    "weight above 1": (rows(weight_ppm=PPM + 1), "scenarios[0].weight"),
    "no direction of volatility": (rows(volatility=0), "scenarios[0].volatility"),
    "im_factor below 1": (parameter("im_factor_wad", str(WAD - 1)), "im_factor"),
    "discount above 1": (parameter("base_discount_wad", str(WAD + 1)), "base_discount"),
    "vol_down below 0": (parameter("vol_down_wad", "-1"), "vol_down"),
    "dte_floor of a second": (parameter("dte_floor_s", "1"), "dte_floor_s"),
    "hedged above net": (parameter("hedged_delta_pct_wad", "1"), "hedged_delta_pct"),
    "unknown parameter": (parameter("gamma_pct_wad", "1"), "gamma_pct"),
    "parameter as a float": (parameter("im_factor_wad", "1.3"), "im_factor"),
    "standard parameter": (standard_parameter("base_factor_wad", str(WAD + 1)), "base_factor"),
    "unknown standard parameter": (standard_parameter("delta_wad", "1"), "delta"),
    "rate of 300 %": (scenarios(rate_wad=str(3 * WAD)), "rate_wad"),
    "skew of 300 %": (scenarios(skew_wad=str(-3 * WAD)), "skew_wad"),
    "curvature as a float": (scenarios(curvature_wad="1e17"), "curvature_wad"),
    # Haircuts, caps and what an account may do.
    "haircut above 1": (collateral_asset(market_haircut_ppm=PPM + 1), "haircut"),
    "haircut above its most": (
        collateral_asset(market_haircut_ppm=150_000, market_haircut_max_ppm=100_000),
        "haircut",
    ),
    "quantity cap below 0": (collateral_asset(quantity_cap_wad="-1"), "quantity_cap"),
    "size factor as a float": (collateral_asset(size_factor_wad="1e15"), "size_factor"),
    "38 decimals": (collateral_listing(decimals=38), "decimals"),
    "amount cap of 2^256": (collateral_listing(amount_cap=str(2**256)), "amount_cap"),
    "leverage 0": (account_params(leverage_max=0), "leverage_max"),
    "leverage 1,001": (account_params(leverage_max=1_001), "leverage_max"),
    "profit above 100 %": (account_params(initial_profit_ppm=PPM + 1), "initial_profit_ppm"),
    **{
        f"withdrawal of {amount}": (withdrawal(amount_uusd=amount), "amount_uusd")
        for amount in ("0", "-5", "1e3", "NaN", "1.5", "+1", "01", "", str(2**256))
    },
    "account 128": (withdrawal(number=128), "number"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_figures_are_refused_by_field(ctx, name):
    build, named = BAD[name]
    handler, message = build(ctx) if callable(build) else build
    before = {store: dict(writes) for store, writes in ctx.store.net_writes().items()}
    with pytest.raises(ChainError) as caught:
        deliver(ctx, handler, message)
    assert {store: dict(writes) for store, writes in ctx.store.net_writes().items()} == before
    assert named in caught.value.detail
    assert caught.value.code > 1


def test_what_the_table_breaks_is_otherwise_accepted(ctx):
    for build in (
        order(),
        listing(),
        series([str(2_500 * WAD)]),
        scenarios(),
        rows(),
        oracle_asset(),
        correlation(["BTC", "ETH"], [PPM, 500_000, 500_000, PPM]),
        collateral_asset(),
        collateral_listing(),
        account_params(),
        withdrawal(),
    ):
        # Never committed: each starts from the same state.
        child = ctx.branch()
        handler, message = build(child) if callable(build) else build
        deliver(child, handler, message)
