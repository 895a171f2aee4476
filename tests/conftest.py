"""Settings for the whole suite."""

import gc
import os

# What an earlier run has kept must not answer for the code that is tested, nor the user's own cache
# be written to: it is off, but for the tests of it.
os.environ["CHAINRULE_CACHE"] = ""

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


def pytest_collection_finish() -> None:
    """Spare the collector what lasts for the whole run, and the walk over every new graph."""
    gc.freeze()
    gc.set_threshold(50_000)
