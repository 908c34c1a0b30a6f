"""Block hook of venues: margin states of accounts with positions there, whose reports age."""

from typing import Final

from chain.modules.accounts.hooks import refresh_margin_state
from chain.modules.accounts.types import AccountId
from chain.modules.collateral.measurement import SharedReads
from chain.modules.venues import state
from chain.runtime.context import Context
from chain.runtime.isolation import isolate_item
from chain.units import Address

ACCOUNTS_MAX: Final = 256
"""Accounts refreshed a block; a round goes on in the next."""


def end_block(ctx: Context) -> None:
    """Refresh the next accounts with a position at a venue, each isolated."""
    shared = SharedReads()  # A refresh writes margin states alone.
    cursor = state.get_cursor(ctx)
    account_ids: list[AccountId] = []
    for leg in state.iterate_legs_after(ctx, cursor):
        account_id = AccountId(Address(leg.owner), leg.number)
        if account_ids and account_ids[-1] == account_id:
            continue
        if len(account_ids) == ACCOUNTS_MAX:
            break
        account_ids.append(account_id)
    for account_id in account_ids:
        attributes: dict[str, str | int] = {
            "owner": account_id.owner,
            "number": account_id.number,
        }
        with isolate_item(ctx, "margin_state_failed", attributes) as child:
            refresh_margin_state(child, account_id, shared)
    following = account_ids[-1] if len(account_ids) == ACCOUNTS_MAX else None
    if following != cursor:
        state.set_cursor(ctx, following)
