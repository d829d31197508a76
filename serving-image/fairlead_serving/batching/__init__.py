"""Joining requests that wait at the same time into one run of the model."""
