"""Benchmarks: `python -m tests.bench` prints them all; none of them is a test."""
