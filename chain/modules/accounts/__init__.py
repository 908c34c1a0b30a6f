"""Margin accounts: cash, liens, positions and the margin over all of them."""
