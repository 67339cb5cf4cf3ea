"""How many cases the tests try that draw them: few while developing, a sample on CI, many by night."""

from __future__ import annotations

import os

import hypothesis

IS_CI = os.environ.get("CI", "").lower() in ("1", "true")
"""Whether everything has to run."""

_SCALES = {"quick": 0.1, "ci": 1.0, "night": 50.0}


def profile() -> str:
    return os.environ.get("HYPOTHESIS_PROFILE", "ci")


def scaled(count: int) -> int:
    """Returns a number of cases, which fits the profile ``ci``, for the profile of this run."""
    return max(1, int(count * _SCALES[profile()]))


def load() -> None:
    """Has hypothesis use the profile of this run."""
    for name, scale in _SCALES.items():
        # Said in full, because hypothesis has an own "ci", derandomized, wherever a CI variable is set.
        # How long drawing takes tells of the machine, not of the test.
        hypothesis.settings.register_profile(
            name,
            max_examples=int(50 * scale),
            derandomize=False,
            print_blob=True,
            deadline=None,
            suppress_health_check=[hypothesis.HealthCheck.too_slow],
        )
    hypothesis.settings.load_profile(profile())
