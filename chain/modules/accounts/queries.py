"""Queries of margin accounts."""

from functools import cmp_to_key
from itertools import islice
from typing import Final, cast

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as pb
from chain.modules.accounts import explanation, state
from chain.modules.accounts import margin as accounts_margin
from chain.modules.accounts.errors import InvalidAccount
from chain.modules.accounts.types import (
    CASH_DENOM,
    Account,
    AccountMargin,
    PortfolioRequirement,
    parse_account_id,
)
from chain.modules.bank import state as bank
from chain.modules.collateral.measurement import SharedReads
from chain.modules.scenarios import state as scenarios
from chain.risk.margin import compare_ratios, compute_gmr_ppm
from chain.risk.netting import VenueMargin
from chain.runtime.context import Context
from chain.units import ceil_div, clamp

LIQUIDATABLE_MAX: Final = 200
LIQUIDATABLE_COMPUTED_MAX: Final = 500
"""Accounts that one query computes to find those of the lowest ratio."""


def query_account(ctx: Context, request: pb.QueryAccountRequest) -> pb.QueryAccountResponse:
    """One account; raises AccountNotFound."""
    account = state.require_account(ctx, parse_account_id(request.owner, request.number))
    return pb.QueryAccountResponse(account=state.encode_account(account))


def query_accounts(ctx: Context, request: pb.QueryAccountsRequest) -> pb.QueryAccountsResponse:
    """All accounts of an owner, at most 128, by number."""
    owner = parse_account_id(request.owner, 0).owner
    return pb.QueryAccountsResponse(
        accounts=[state.encode_account(account) for account in state.iterate_accounts(ctx, owner)]
    )


def compute_withdrawable_uusd(ctx: Context, margin: AccountMargin) -> int:
    """The cash whose withdrawal keeps E_initial >= IMR, GMR >= 1.25 and the leverage; prices are
    not judged.
    """
    if accounts_margin.is_paid_for(margin):
        return max(0, margin.cash_uusd)
    numerator, denominator = accounts_margin.WITHDRAWAL_RATIO
    needed = ceil_div(margin.worst_notional_uusd, state.get_params(ctx).leverage_max)
    free_initial = margin.equity_initial_uusd - max(margin.initial_uusd, needed)
    free_ratio = margin.equity_uusd - ceil_div(margin.maintenance_uusd * numerator, denominator)
    return clamp(min(free_initial, free_ratio), 0, max(0, margin.cash_uusd))


def explain_margin(ctx: Context, account: Account) -> pb.MarginExplanation:
    """The margin of an account with every factor and formula input, decimals as texts."""
    margin = accounts_margin.compute_account_margin(ctx, account)
    attributed = accounts_margin.attribute_requirements(ctx, margin)
    rules = {
        terms.asset: scenarios.get_underlying_state(ctx, terms.asset) for terms in margin.terms
    }
    gmr_ppm = compute_gmr_ppm(margin.equity_uusd, margin.maintenance_uusd)
    portfolio = margin.portfolio or PortfolioRequirement(0, 0)
    venues = margin.venues or VenueMargin()
    return pb.MarginExplanation(
        cash_uusd=str(margin.cash_uusd),
        collateral_uusd=str(margin.collateral_uusd),
        unrealised_uusd=str(margin.unrealised_uusd),
        equity_uusd=str(margin.equity_uusd),
        equity_initial_uusd=str(margin.equity_initial_uusd),
        maintenance_uusd=str(margin.maintenance_uusd),
        initial_uusd=str(margin.initial_uusd),
        gmr_ppm="" if gmr_ppm is None else str(gmr_ppm),
        state=cast("accounts_pb2.MarginState", margin.state.value),
        withdrawable_uusd=str(compute_withdrawable_uusd(ctx, margin)),
        liens=[explanation.encode_lien(line) for line in margin.liens],
        positions=[
            explanation.encode_position(part, line)
            for part, line in zip(attributed.positions, margin.positions, strict=True)
        ],
        margin_mode=cast("accounts_pb2.MarginMode", margin.mode.value),
        multiplier_ppm=margin.multiplier_ppm,
        initial_profit_ppm=state.get_params(ctx).initial_profit_ppm,
        time_s=ctx.time_s,
        venue_pnl_uusd=str(venues.pnl_uusd),
        venue_pnl_initial_uusd=str(venues.pnl_initial_uusd),
        venue_maintenance_uusd=str(venues.maintenance_uusd),
        venue_initial_uusd=str(venues.initial_uusd),
        underlyings=[explanation.encode_underlying(row, rules) for row in portfolio.underlyings],
        correlated_assets=portfolio.correlated_assets,
        correlation=[pb.CorrelationRow(rho_ppm=row) for row in portfolio.correlation_ppm],
        base_uusd=str(margin.base_uusd),
        terms=[explanation.encode_terms(terms, rules[terms.asset]) for terms in margin.terms],
        standard=[explanation.encode_standard(row) for row in margin.standard],
    )


def query_margin(ctx: Context, request: pb.QueryMarginRequest) -> pb.QueryMarginResponse:
    """An account's margin now, explained, and the state the block hook last recorded."""
    account_id = parse_account_id(request.owner, request.number)
    explanation = explain_margin(ctx, state.require_account(ctx, account_id))
    recorded, since = state.get_margin_state(ctx, account_id)
    return pb.QueryMarginResponse(
        margin=explanation,
        recorded_state=cast("accounts_pb2.MarginState", recorded.value),
        recorded_since_height=since,
    )


def query_liquidatable(
    ctx: Context, request: pb.QueryLiquidatableRequest
) -> pb.QueryLiquidatableResponse:
    """Accounts last seen below a ratio of 1, the lowest ratio of now first.

    They are found by their recorded states, the worst first, and computed; no other is looked at.
    """
    limit = min(request.limit or LIQUIDATABLE_MAX, LIQUIDATABLE_MAX)
    listed = list(islice(state.iterate_liquidatable(ctx), LIQUIDATABLE_COMPUTED_MAX + 1))
    shared = SharedReads()
    found = []
    for account_id, recorded in listed[:LIQUIDATABLE_COMPUTED_MAX]:
        account = state.require_account(ctx, account_id)
        margin = accounts_margin.compute_account_margin(ctx, account, shared=shared)
        found.append((margin, account_id, recorded))
    ratios = cmp_to_key(compare_ratios)
    found.sort(key=lambda line: (ratios((line[0].equity_uusd, line[0].maintenance_uusd)), line[1]))
    response = pb.QueryLiquidatableResponse(is_partial=len(listed) > LIQUIDATABLE_COMPUTED_MAX)
    for margin, account_id, recorded in found[:limit]:
        gmr_ppm = compute_gmr_ppm(margin.equity_uusd, margin.maintenance_uusd)
        response.accounts.add(
            owner=account_id.owner,
            number=account_id.number,
            state=cast("accounts_pb2.MarginState", recorded.value),
            since_height=state.get_margin_state(ctx, account_id)[1],
            state_now=cast("accounts_pb2.MarginState", margin.state.value),
            equity_uusd=str(margin.equity_uusd),
            maintenance_uusd=str(margin.maintenance_uusd),
            gmr_ppm="" if gmr_ppm is None else str(gmr_ppm),
        )
    return response


def query_ledger(ctx: Context, request: pb.QueryLedgerRequest) -> pb.QueryLedgerResponse:
    """Both sides of the cash identity; raises InvalidAccount on a chain too large to add up."""
    del request
    if sum(1 for _ in islice(state.iterate_accounts(ctx), state.LEDGER_ACCOUNTS_MAX + 1)) > (
        state.LEDGER_ACCOUNTS_MAX
    ):
        raise InvalidAccount(
            f"more than {state.LEDGER_ACCOUNTS_MAX} accounts; add up an export instead"
        )
    ledger = state.compute_ledger(ctx)
    return pb.QueryLedgerResponse(
        bank_balance_uusd=str(bank.get_balance(ctx, state.MODULE_ADDRESS, CASH_DENOM)),
        cash_total_uusd=str(ledger.cash_uusd),
        cost_total_uusd=str(ledger.cost_uusd),
        funding_total_uusd=str(ledger.funding_uusd),
        accrued_fees_uusd=str(ledger.fees_uusd),
    )


def query_params(ctx: Context, request: pb.QueryParamsRequest) -> pb.QueryParamsResponse:
    """The governed parameters."""
    del request
    return pb.QueryParamsResponse(params=state.get_params(ctx))
