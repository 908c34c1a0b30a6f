"""What of an account may not carry new risk: value on prices that are too old, disputed or still
moving, and liens whose route proved nothing lately (systems row 45).

Other modules import this module, not its names: it reads collateral, which reads accounts.
"""

from collections.abc import Iterator

from chain.modules.accounts.types import AccountMargin, LienMargin
from chain.modules.collateral import measurement as collateral
from chain.modules.collateral import prices as collateral_prices
from chain.modules.collateral import state as collateral_state
from chain.modules.oracle.errors import PriceNotUsable, UnknownAsset
from chain.modules.oracle.permissions import require_price
from chain.modules.oracle.types import Action
from chain.runtime.context import Context


def _find_lien_refusal(ctx: Context, line: LienMargin) -> str:
    route = collateral_state.get_route(ctx, line.lien.route_id)
    age_ns = 0 if route is None else collateral.get_proof_age_ns(ctx, route)
    try:
        collateral_prices.require_asset_price(
            ctx, line.factors.asset, Action.OPEN_RISK, proof_age_ns=age_ns
        )
    except (PriceNotUsable, UnknownAsset) as refusal:
        return refusal.detail
    return ""


def _find_price_refusal(ctx: Context, asset: str) -> str:
    try:
        require_price(ctx, asset, Action.OPEN_RISK)
    except (PriceNotUsable, UnknownAsset) as refusal:
        return refusal.detail
    return ""


def _collect_support(ctx: Context, margin: AccountMargin) -> Iterator[tuple[int, str]]:
    """(what initial margin counts, why it may not) of each lien, spot and position in profit."""
    for line in margin.liens:
        if line.value.counted_initial_uusd:
            yield line.value.counted_initial_uusd, _find_lien_refusal(ctx, line)
    for position in margin.positions:
        if position.equity_initial_uusd > 0:
            yield position.equity_initial_uusd, _find_price_refusal(ctx, position.asset)


def require_stable_prices(ctx: Context, margin: AccountMargin, action: Action) -> None:
    """Raise PriceNotUsable unless what the account's underlyings are quoted in is priced.

    A depeg raises initial margin. Without a price nobody knows of one: what exists is margined at
    the last price, or at par before the first, and nothing is added to it.
    """
    for terms in margin.terms:
        stable = "" if terms.rules is None else terms.rules.current.stable_asset
        if not stable:
            continue
        try:
            require_price(ctx, stable, action)
        except (PriceNotUsable, UnknownAsset) as refusal:
            raise PriceNotUsable(
                f"{terms.asset} is quoted in {stable}: {refusal.detail}"
            ) from refusal


def find_refusal(ctx: Context, margin: AccountMargin) -> str:
    """Why new risk may not rest on what the account has; empty when enough of it is fresh.

    The account keeps everything that it has: it is only not enough for more.
    """
    try:
        require_stable_prices(ctx, margin, Action.OPEN_RISK)
    except PriceNotUsable as error:
        return error.detail
    free_uusd = margin.equity_initial_uusd - margin.initial_uusd
    refused_uusd = 0
    for counted_uusd, refusal in _collect_support(ctx, margin):
        if not refusal:
            continue
        refused_uusd += counted_uusd
        if refused_uusd > free_uusd:
            return f"{refusal}; without it initial equity is {refused_uusd - free_uusd} uusd short"
    return ""
