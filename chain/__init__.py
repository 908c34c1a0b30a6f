"""The margin chain: one margin account over collateral that stays on other chains."""
