"""Hypothesis runs the same examples everywhere; a failure is reproducible from the log alone."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "madpo",
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("madpo")
