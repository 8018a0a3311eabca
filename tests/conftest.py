"""What all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ["paglets.testing.plugin"]

# A busy machine is no fault of the code: nothing is said about how long an example may take to make or to run.
settings.register_profile("paglets", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("paglets")
