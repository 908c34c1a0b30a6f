"""Why an account is in its state, and what would change it: prices, a deposit, a withdrawal."""

from typing import Final, cast

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.desk.v1 import query_pb2 as pb
from chain.errors import ChainError
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts import queries as accounts_queries
from chain.modules.accounts import state
from chain.modules.accounts.types import Account, AccountMargin, LienKey, parse_account_id
from chain.modules.desk.greeks import query_greeks
from chain.modules.desk.probing import PriceProbe, get_underlyings
from chain.modules.oracle import state as oracle
from chain.risk.margin import compute_better_deposit_uusd, compute_margin_state
from chain.runtime.context import Context
from chain.runtime.errors import InvalidRequest
from chain.units import floor_div

UNDERLYINGS_MAX: Final = 8
"""Underlyings whose prices one explanation looks for."""
LIENS_MAX: Final = 8
"""Liens whose withdrawal one explanation looks for."""


def _find_state_prices(
    ctx: Context, account: Account, margin: AccountMargin, asset: str
) -> pb.StatePrices:
    price = oracle.get_price(ctx, asset)
    assert price is not None, "only what has a price is listed"
    probe = PriceProbe(ctx, account, asset, price.price_wad)
    present = margin.state

    def is_worse(supposed: AccountMargin) -> bool:
        return supposed.state > present

    def is_better(supposed: AccountMargin) -> bool:
        return supposed.state < present

    return pb.StatePrices(
        asset=asset,
        price_wad=str(price.price_wad),
        worse_below_wad=probe.find(is_worse, is_up=False),
        worse_above_wad=probe.find(is_worse, is_up=True),
        better_below_wad=probe.find(is_better, is_up=False),
        better_above_wad=probe.find(is_better, is_up=True),
    )


def _find_refusal(ctx: Context, after: Account) -> str:
    try:
        accounts_margin.require_withdrawable(ctx, after)
    except ChainError as error:
        return str(error)
    return ""


def _compute_withdrawable(ctx: Context, account: Account, key: LienKey) -> int:
    """The most of a lien that may leave: by bisection, since less collateral never frees margin."""
    held = account.liens[key]

    def is_refused(amount: int) -> bool:
        child = ctx.branch()
        after = account.copy()
        after.liens[key] = held - amount
        if amount == held:
            del after.liens[key]
        state.set_account(child, after)
        return bool(_find_refusal(child, after))

    if not is_refused(held):
        return held
    allowed, refused = 0, held
    while refused - allowed > 1:
        middle = floor_div(allowed + refused, 2)
        if is_refused(middle):
            refused = middle
        else:
            allowed = middle
    return allowed


def query_explain(ctx: Context, request: pb.QueryExplainRequest) -> pb.QueryExplainResponse:
    """An account's margin with every input, what would change its state, and its Greeks.

    Raises AccountNotFound, and InvalidRequest when the account depends on too many underlyings.
    """
    account_id = parse_account_id(request.owner, request.number)
    account = state.require_account(ctx, account_id)
    assets = get_underlyings(ctx, account)
    if len(assets) > UNDERLYINGS_MAX:
        raise InvalidRequest(
            f"the account depends on {len(assets)} underlyings, the most of one query is "
            f"{UNDERLYINGS_MAX}; query its margin and liquidation prices"
        )
    margin = accounts_margin.compute_account_margin(ctx, account)
    recorded, since = state.get_margin_state(ctx, account_id)
    greeks = query_greeks(ctx, pb.QueryGreeksRequest(owner=request.owner, number=request.number))
    response = pb.QueryExplainResponse(
        margin=accounts_queries.explain_margin(ctx, account),
        recorded_state=cast("accounts_pb2.MarginState", recorded.value),
        recorded_since_height=since,
        prices=[_find_state_prices(ctx, account, margin, asset) for asset in assets],
        withdrawal_refusal=_find_refusal(ctx, account),
        withdrawable_uusd="0",
        greeks=greeks.underlyings,
    )
    deposit = compute_better_deposit_uusd(margin.equity_uusd, margin.maintenance_uusd)
    if deposit:
        after = compute_margin_state(margin.equity_uusd + deposit, margin.maintenance_uusd)
        response.deposit_uusd = str(deposit)
        response.deposit_state = cast("accounts_pb2.MarginState", after.value)
    lines = sorted(margin.liens, key=lambda line: (-line.value.value_uusd, line.lien))
    for line in lines[:LIENS_MAX]:
        amount = _compute_withdrawable(ctx, account, line.lien)
        response.liens.add(
            route_id=line.lien.route_id,
            denom=line.lien.denom,
            amount=str(line.amount),
            withdrawable=str(amount),
        )
    if not response.withdrawal_refusal:
        response.withdrawable_uusd = str(accounts_queries.compute_withdrawable_uusd(ctx, margin))
    return response
