"""What came of the requests: with which statuses they were answered, how fast, and what was wrong with the answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from fuzz.judge import Fault

SHOWN = 3
"""How many examples of each fault are printed."""


class Report:
    """Counts answers, and keeps some examples of each fault."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self.faults: Counter[tuple[str, str]] = Counter()
        """How often each rule was broken, and where."""
        self._examples: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, status: int, seconds: float, faults: Iterable[Fault]) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        self.slowest = max(self.slowest, seconds)
        self.blame(faults)

    def blame(self, faults: Iterable[Fault]) -> None:
        """Count faults."""
        for rule, subject, detail in faults:
            self.faults[rule, subject] += 1
            if self.faults[rule, subject] <= SHOWN:
                self._examples[rule, subject].append(detail)

    def lines(self) -> Iterator[str]:
        """Return what a person reads."""
        counts = [f"{status} x {times:,}" for status, times in sorted(self.statuses.items())]
        yield f"  answers by status: {', '.join(counts)}"
        yield f"  the slowest took {self.slowest:.2f} s"
        for (rule, subject), times in sorted(self.faults.items()):
            yield f"  WRONG {rule}: {subject}, {times:,} times"
            yield from (f"      {example}" for example in self._examples[rule, subject])
