"""The risk mathematics: pure integer functions."""
