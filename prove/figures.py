"""Numbers as the proof shows them: percentiles, histograms, and what so many trials without a failure prove."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from math import ceil

EDGES = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0)
"""Upper ends of the bars of a histogram of seconds."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least this share of them does not exceed; NaN of none."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else float("nan")


def summary(seconds: Sequence[float]) -> str:
    """Say p50, p99 and the most of some lengths of time."""
    if not seconds:
        return "none"
    return f"p50 {percentile(seconds, 0.5):.2f} s, p99 {percentile(seconds, 0.99):.2f} s, max {max(seconds):.2f} s"


def histogram(seconds: Sequence[float]) -> str:
    """Say how many lengths of time lie up to each of `EDGES`, leaving out bars that are empty."""
    bars = Counter(bisect_left(EDGES, value) for value in seconds)
    names = [*(f"≤ {edge:g} s" for edge in EDGES), f"> {EDGES[-1]:g} s"]
    return ", ".join(f"{name}: {bars[index]:,}" for index, name in enumerate(names) if bars[index])


def bound(trials: int, failures: int) -> str:
    """Say below what the true rate of failures lies with 95 % confidence: 3/N after N trials without a failure."""
    if failures or not trials:
        return "none"
    return f"{3 / trials:.1e}"
