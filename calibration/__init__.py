"""The calibration report: what recorded markets say of the shipped risk parameters.

Off chain: floats are allowed here, and volatilities run through the chain's own integer functions.
"""
