"""Supposed prices: an account's margin at them, and the nearest one at which something holds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts.types import Account, AccountMargin, MarginMode
from chain.modules.collateral import prices as collateral_prices
from chain.modules.collateral import state as collateral
from chain.modules.markets import state as markets
from chain.modules.markets.types import InstrumentKind
from chain.modules.oracle import state as oracle
from chain.modules.scenarios import state as scenarios
from chain.runtime.context import Context
from chain.runtime.errors import InvalidRequest
from chain.units import ceil_div, floor_div

_PRICE_UNIT: Final = 10**12
"""Prices that are found are exact to a uusd a unit."""
_LADDER_STEPS: Final = 24
_PRICED_CELL_GAS: Final = 300
"""An option priced under a scenario at a supposed price, which no risk array can be shared for."""
_KINKS_MAX: Final = 16
"""Strikes looked at on one side of the price: the nearest."""


def get_underlyings(ctx: Context, account: Account) -> list[str]:
    """The oracle assets that an account's value depends on, by name."""
    names = {markets.require_market(ctx, market_id).asset for market_id in account.positions}
    names.update(
        markets.require_market(ctx, order.market).asset
        for order in markets.get_account_orders(ctx, account.id)
    )
    for lien in account.liens:
        listing = collateral.get_listing(ctx, lien.route_id, lien.denom)
        if listing is not None:
            names.add(collateral_prices.get_priced_asset(ctx, listing.asset))
    return sorted(name for name in names if oracle.get_price(ctx, name) is not None)


def set_price(ctx: Context, asset: str, price_wad: int) -> None:
    """Write a supposed price as one that has arrived; raises InvalidRequest without any to move."""
    price = oracle.get_price(ctx, asset)
    if price is None:
        raise InvalidRequest(f"{asset[:32]!r} has no price to move; query the oracle's prices")
    oracle.set_price(
        ctx,
        replace(price, price_wad=price_wad, raw_median_wad=price_wad, step_bound_active=False),
    )


def charge_pricing(ctx: Context, account: Account, asset: str) -> None:
    """Charge gas for pricing the account's options on an asset anew, under each scenario."""
    rules = scenarios.get_rules(ctx, asset)
    cells = 1
    if rules is not None and account.margin_mode is MarginMode.PORTFOLIO:
        cells += len(rules.current.scenario_set.scenarios)
    held = (markets.require_market(ctx, market_id) for market_id in account.positions)
    options = sum(market.kind is InstrumentKind.OPTION and market.asset == asset for market in held)
    ctx.gas.consume(options * cells * _PRICED_CELL_GAS)


def is_below_requirement(margin: AccountMargin) -> bool:
    """Whether equity is below the maintenance requirement."""
    return margin.equity_uusd < margin.maintenance_uusd


def _build_ladder(price_units: int, *, is_up: bool) -> Iterator[int]:
    """Prices to look at, outward: to sixteen times, or down to a thousandth."""
    for step in range(1, _LADDER_STEPS + 1):
        if is_up:
            yield price_units + ceil_div(15 * price_units * step**2, _LADDER_STEPS**2)
        else:
            yield max(
                ceil_div(price_units, 1_000), price_units - price_units * step // _LADDER_STEPS
            )


def _find_kinks(ctx: Context, account: Account, asset: str) -> list[int]:
    """The strikes of an account's options on an asset, in units of a uusd, ascending.

    Near the expiry worth and requirement turn there.
    """
    held = [markets.require_market(ctx, market_id) for market_id in account.positions]
    return sorted(
        {
            floor_div(market.strike_wad, _PRICE_UNIT)
            for market in held
            if market.kind is InstrumentKind.OPTION and market.asset == asset
        }
    )


class PriceProbe:
    """One account over the prices of one asset, all else as it is; a price is computed once."""

    def __init__(self, ctx: Context, account: Account, asset: str, price_wad: int) -> None:
        self._ctx = ctx
        self._account = account
        self._asset = asset
        self._units = floor_div(price_wad, _PRICE_UNIT)
        self._kinks = _find_kinks(ctx, account, asset)
        self._margins: dict[int, AccountMargin] = {}

    def compute(self, price_units: int) -> AccountMargin:
        """The margin at a price in units of a uusd."""
        found = self._margins.get(price_units)
        if found is None:
            child = self._ctx.branch()
            set_price(child, self._asset, max(1, price_units * _PRICE_UNIT))
            charge_pricing(child, self._account, self._asset)
            found = accounts_margin.compute_account_margin(child, self._account)
            self._margins[price_units] = found
        return found

    def _build_rungs(self, *, is_up: bool) -> list[int]:
        """The ladder and the strikes within its reach, outward."""
        ladder = list(_build_ladder(self._units, is_up=is_up))
        low, high = sorted((self._units, ladder[-1]))
        kinks = [kink for kink in self._kinks if low < kink < high]
        nearest = kinks[:_KINKS_MAX] if is_up else kinks[-_KINKS_MAX:]
        return sorted({*ladder, *nearest}, reverse=not is_up)

    def find(self, is_reached: Callable[[AccountMargin], bool], *, is_up: bool) -> str:
        """The nearest price (WAD) on one side at which the margin has a property, or nothing.

        The first rung of a ladder that has it brackets the price; bisection finds it to the unit.
        The strikes of the account's options are rungs too. A stretch that begins and ends between
        two rungs is not seen.
        """
        outside = self._units
        if outside == 0:
            return ""
        for rung in self._build_rungs(is_up=is_up):
            if not is_reached(self.compute(rung)):
                outside = rung
                continue
            inside = rung
            while abs(inside - outside) > 1:
                middle = floor_div(inside + outside, 2)
                if is_reached(self.compute(middle)):
                    inside = middle
                else:
                    outside = middle
            return str(inside * _PRICE_UNIT)
        return ""
