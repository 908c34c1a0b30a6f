"""A collateral chain: a vault that locks collateral and obeys one hub."""

from chain.assembly import build_chain

SPOKE = build_chain("margin-spoke", ())
