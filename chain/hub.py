"""The margin chain: accounts that borrow strength from collateral on other chains."""

from chain.assembly import build_chain

HUB = build_chain("margin-hub", ())
