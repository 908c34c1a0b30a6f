"""Unmodified clients of the Cosmos world against real chains: ours, and one of ibc-go."""
