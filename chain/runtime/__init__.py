"""A generic ABCI application that knows no module."""
