"""Perpetual markets: order books, fills, funding."""
