"""Benchmarks: each prints figures and can compare two things in one run."""
