"""Prices agreed through vote extensions, and their volatility."""
