"""Settings for the whole suite."""

import os

from hypothesis import HealthCheck, settings

# A deadline or a slowness check would judge the machine, which may be busy, and not the code.
settings.register_profile("dev", deadline=None)
# Derandomized, so that a run that passed passes again: chance finds go into the suite as examples.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
