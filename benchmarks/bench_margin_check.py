"""Microseconds of a margin check (12 positions, 12 liens; 12 perpetuals and 12 options under both
margin modes) and of placing, filling and cancelling.

Runs the modules on a branch over an empty committed state: what is measured is the Python of the
rule, not storage, signatures or consensus. Liens get given haircut factors, so the figure of the
check is that of accounts, oracle, markets and risk without the measuring of routes.
"""

import argparse
import cProfile
import pstats
import statistics
import time
from collections.abc import Callable
from functools import partial

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.markets.v1 import markets_pb2, tx_pb2
from chain._pb.margin.oracle.v1 import oracle_pb2
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from chain.modules.accounts import genesis as accounts_genesis
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import state as accounts
from chain.modules.accounts.params import build_default_params as build_accounts_params
from chain.modules.accounts.types import Account, AccountId, LienKey, MarginMode, Position
from chain.modules.bank import state as bank
from chain.modules.collateral import measurement
from chain.modules.markets import genesis as markets_genesis
from chain.modules.markets import handlers
from chain.modules.markets import state as markets
from chain.modules.markets.params import build_default_params as build_markets_params
from chain.modules.oracle import genesis as oracle_genesis
from chain.modules.oracle import state as oracle
from chain.modules.oracle.params import build_default_params as build_oracle_params
from chain.modules.oracle.types import Price
from chain.modules.scenarios import state as scenarios
from chain.risk.haircut import HaircutFactors
from chain.runtime.address import encode_address
from chain.runtime.context import Context
from chain.runtime.store import Branch, EmptyState
from chain.units import NANOSECONDS, PPM, UUSD, WAD, Address

LINES = 12
NOW_NS = 1_800_000_000 * NANOSECONDS


def build_context(traders: list[Address]) -> Context:
    """Twelve priced markets, traders with cash."""
    ctx = Context("hub-1", 1, NOW_NS, Branch(EmptyState()))
    params = build_oracle_params()
    names = [f"A{index:02}" for index in range(LINES)]
    for name in names:
        params.assets.append(
            oracle_pb2.AssetParams(
                asset=name,
                sources_min=2,
                step_ppm_max=PPM,
                outlier_ppm=100_000,
                volatility_initial_wad=str(WAD),
                volatility_max_wad=str(10 * WAD),
            )
        )
    oracle_genesis.init_genesis(ctx, oracle_pb2.GenesisState(params=params))
    for name in names:
        price = 2_000 * WAD
        oracle.set_price(ctx, Price(name, price, price, NOW_NS, 1, PPM, 2, False))  # noqa: FBT003
    markets_genesis.init_genesis(
        ctx,
        markets_pb2.GenesisState(
            params=build_markets_params(), markets=[build_market(name) for name in names]
        ),
    )
    accounts_genesis.init_genesis(ctx, accounts_pb2.GenesisState(params=build_accounts_params()))
    for trader in traders:
        bank.mint(ctx, trader, "uusd", 10**9 * UUSD)
        accounts.credit_cash(ctx, AccountId(trader, 0), 10**9 * UUSD, trader)
    return ctx


def build_market(name: str) -> markets_pb2.Market:
    """A market of a named asset."""
    return markets_pb2.Market(
        id=f"{name}-USD",
        asset=name,
        status=markets_pb2.MARKET_STATUS_ACTIVE,
        quantum_decimals=6,
        tick_wad=str(WAD // 100),
        step_quantums="1000",
        initial_ppm=100_000,
        maintenance_ppm=50_000,
        volatility_floor_wad=str(WAD // 2),
        horizon_s=60,
        open_interest_max_uusd=str(10**15 * UUSD),
        maker_fee_ppm=200,
        taker_fee_ppm=500,
        funding_ppm_max=1_000,
        price_band_ppm=100_000,
        kind=markets_pb2.INSTRUMENT_KIND_PERPETUAL,
    )


def measure_us(action: Callable[[int], object], count: int) -> tuple[float, float]:
    """Median and 95th percentile of an action's CPU time, in µs."""
    times = []
    for index in range(count):
        start = time.thread_time_ns()
        action(index)
        times.append(time.thread_time_ns() - start)
    times.sort()
    return statistics.median(times) / 1_000, times[int(len(times) * 0.95)] / 1_000


def build_large_account(owner: Address) -> Account:
    """Twelve positions and twelve liens."""
    account = Account(owner, 0, 10**6 * UUSD)
    for index in range(LINES):
        account.positions[f"A{index:02}-USD"] = Position((-1) ** index * 10**7, 10**9, 0)
        key = LienKey("alpha-1", f"denom{index}", "main", "alpha")
        account.liens[key] = 10 * WAD
    return account


def list_options(ctx: Context) -> list[str]:
    """Six calls and six puts of the first asset in two expiries; their ids."""
    found = []
    for days in (30, 90):
        for strike in (1_600, 2_000, 2_400):
            for kind in (markets_pb2.OPTION_KIND_CALL, markets_pb2.OPTION_KIND_PUT):
                market = build_market("A00")
                market.id = f"A00-{days}-{strike}-{kind}"
                market.kind = markets_pb2.INSTRUMENT_KIND_OPTION
                market.funding_ppm_max = 0
                market.expiry_time_s = NOW_NS // NANOSECONDS + days * 86_400
                market.strike_wad = str(strike * WAD)
                market.option_kind = kind
                market.settlement_window_s = 1_800
                markets.set_market(ctx, market)
                found.append(market.id)
    return found


def _check(ctx: Context, account: Account, _: int) -> object:
    return accounts_margin.compute_account_margin(ctx, account)


def report_modes(ctx: Context, owner: Address, count: int) -> None:
    """Checks of twelve perpetuals of twelve assets and of twelve options of one, by margin mode."""
    options = list_options(ctx)
    for index in range(LINES):
        underlying = scenarios_pb2.Underlying(asset=f"A{index:02}", preset="pmrm21")
        current = scenarios_pb2.UnderlyingState(current=underlying)
        scenarios.set_underlying_state(ctx, current)
    perpetuals = build_large_account(owner)
    perpetuals.liens = {}
    chain = Account(owner, 0, 10**6 * UUSD)
    for index, market_id in enumerate(options):
        chain.positions[market_id] = Position((-1) ** index * 10**7, 10**9, 0)
    for name, account in (("perpetuals", perpetuals), ("options", chain)):
        for mode in MarginMode:
            account.margin_mode = mode
            figures = measure_us(partial(_check, ctx, account), count)
            report(f"margin check, 12 {name}, {mode.name.lower()} margin", figures)


def build_order(owner: Address, side: int, price_cents: int, size: int) -> tx_pb2.MsgPlaceOrder:
    """A limit order in the first market."""
    message = tx_pb2.MsgPlaceOrder(
        owner=owner,
        market="A00-USD",
        size_quantums=str(size),
        price_wad=str(price_cents * WAD // 100),
        time_in_force=markets_pb2.TIME_IN_FORCE_GOOD_TILL_CANCEL,
    )
    message.side = side  # type: ignore[assignment]
    return message


def report(name: str, figures: tuple[float, float]) -> None:
    """One line of results."""
    print(f"{name:<44} median {figures[0]:8.1f} µs   p95 {figures[1]:8.1f} µs")


def main() -> None:
    """Print the figures; --profile adds where a fill spends its time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    count = arguments.count
    traders = [encode_address(index.to_bytes(20, "big")) for index in range(1, 401)]
    takers = [encode_address(index.to_bytes(20, "big")) for index in range(401, 411)]
    ctx = build_context([*traders, *takers])
    factors = HaircutFactors("A01", 18, 10 * WAD, 150_000, PPM, 12_822, 20_000, 0)
    original = measurement.get_lien_haircut
    measurement.get_lien_haircut = lambda *_: factors
    large = build_large_account(traders[0])
    report(
        "margin check, 12 positions and 12 liens",
        measure_us(lambda _: accounts_margin.compute_account_margin(ctx, large), count),
    )
    measurement.get_lien_haircut = original

    def deliver(message: tx_pb2.MsgPlaceOrder) -> tx_pb2.MsgPlaceOrderResponse:
        with ctx.branch() as child:
            return handlers.handle_place_order(child, message)

    def place(index: int) -> object:
        owner = traders[index % len(traders)]
        cents = 195_000 + index % 2 * 10_000 + index % 97
        return deliver(build_order(owner, 1 + index % 2, cents, 10**6))

    profiler = cProfile.Profile()
    # One block: its writes are not handed down, so a later order meets all earlier ones.
    report(f"place, resting, one block of {count}", measure_us(place, count))

    def fill(index: int) -> object:
        return deliver(build_order(takers[index % len(takers)], 1, 210_000, 10**6))

    if arguments.profile:
        profiler.enable()
    report("place, one fill, in the same block", measure_us(fill, min(count // 4, 200)))
    profiler.disable()

    def cancel(index: int) -> object:
        owner = traders[index % len(traders)]
        with ctx.branch() as child:
            message = tx_pb2.MsgCancelAll(owner=owner)
            return handlers.handle_cancel_all(child, message)

    report("cancel all of an account", measure_us(cancel, len(traders)))
    report_modes(ctx, traders[0], count)
    if arguments.profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
