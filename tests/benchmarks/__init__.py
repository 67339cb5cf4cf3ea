"""What the client costs next to other ways of reading the same stream.

Run ``python -m tests.benchmarks``; ``--quick`` takes a minute. Nothing here is asserted: the machines
that run tests are shared and noisy, and only ratios between peers measured in turns mean anything.
"""
