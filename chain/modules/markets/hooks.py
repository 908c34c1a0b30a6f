"""The block hook: funding of perpetuals, then expiry of futures and options."""

from chain.modules.markets import expiry, funding
from chain.runtime.context import Context


def end_block(ctx: Context) -> None:
    """Fund, then sample, price and settle what expires; each item isolated, the work bounded."""
    funding.end_block(ctx)
    expiry.end_block(ctx)
