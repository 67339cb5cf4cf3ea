"""What a test waits for, and what is not held against it."""

from __future__ import annotations

import sys
import time

from tests.support.waiting import Stalls


def test_a_stall_counts_though_the_thread_that_measures_it_wakes_last() -> None:
    interval = sys.getswitchinterval()
    with Stalls() as stalls:
        sys.setswitchinterval(100.0)  # no other thread goes on
        try:
            end = time.monotonic() + 0.2
            while time.monotonic() < end:
                pass
            seen = stalls.seconds
        finally:
            sys.setswitchinterval(interval)
    assert 0.1 < seen <= stalls.seconds
