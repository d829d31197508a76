"""What holds for all unit tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine makes any example slow; what limits a test is its own time.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
