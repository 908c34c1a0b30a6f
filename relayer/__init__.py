"""The relayer: a Python IBC relayer for the margin chain and any ibc-go chain."""
