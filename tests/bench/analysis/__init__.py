"""Simulated rollouts, judged by the real analyst."""
