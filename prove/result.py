"""What a scenario found: figures for each promise that it proves, and all that must not be."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from prove.checker import Violation


@dataclass(frozen=True)
class Finding:
    """What one scenario says of one promise: trials of what, how many failed, and the figures that were seen."""

    promise: str
    what: str
    trials: int
    failures: int
    figures: str = ""


@dataclass
class Result:
    """What one run of a scenario found."""

    scenario: str
    seed: int
    size: str
    findings: list[Finding] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def find(self, promise: str, what: str, trials: int, failures: int, figures: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(promise, what, trials, failures, figures))

    def blame(self, rule: str, subject: str, detail: str) -> None:
        """Add a violation."""
        self.violations.append(Violation(rule, subject, detail))

    def count(self, *rules: str) -> int:
        """Return how many violations of these rules there are."""
        return sum(violation.rule in rules for violation in self.violations)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self) | {"violations": [list(violation) for violation in self.violations]}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Self:
        """Return what `to_json` was made of."""
        findings = [Finding(**finding) for finding in facts["findings"]]
        violations = [Violation(*violation) for violation in facts["violations"]]
        return cls(**facts | {"findings": findings, "violations": violations})
