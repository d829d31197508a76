"""Judging a canary: evidence from counters, verdicts, and the one adapter that asks Prometheus."""
