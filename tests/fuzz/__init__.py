"""Fuzzers of everything that reads bytes from a client: `python -m tests.fuzz TARGET --seconds N`."""
