"""Single moments: `at` fires at each of those that are listed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field

from mainspring.errors import Problem
from mainspring.schedule import words
from mainspring.schedule.civil import from_datetime
from mainspring.schedule.rules.rule import Frame, Rule, Rules
from mainspring.schedule.series import Listed
from mainspring.schedule.text import When, format_time, parse_when, range_problems

MOST_MOMENTS = 1000
"""How many moments may be listed."""
_MOST_SAID = 3
"""How many of them are said in English."""


@dataclass(frozen=True, slots=True)
class At(Rule):
    """Fires at some moments, which are in order."""

    kind: ClassVar[str] = "at"
    phrase: ClassVar[str] = "`at` single moments"

    moments: tuple[datetime, ...]

    @classmethod
    def from_json(cls, value: Sequence[str], _rules: Rules) -> At:
        """See `Rule.from_json`."""
        return cls(tuple(map(parse_when, value)))

    def to_json(self) -> list[str]:
        """See `Rule.to_json`."""
        return [format_time(moment) for moment in self.moments]

    @classmethod
    def wire_type(cls, _rules: Rules) -> Any:
        """See `Rule.wire_type`."""
        return Annotated[tuple[When, ...], Field(min_length=1, max_length=MOST_MOMENTS)]

    @classmethod
    def from_wire(cls, sent: Sequence[datetime], _rules: Rules) -> At:
        """See `Rule.from_wire`."""
        return cls(tuple(sorted(set(sent))))

    def series(self, _frame: Frame) -> Listed:
        """See `Rule.series`."""
        return Listed(tuple(map(from_datetime, self.moments)))

    def problems(
        self,
        sent: Sequence[datetime],
        _frame: Frame,
        pointer: str,
        _rules: Rules,
        *,
        combined: bool = False,  # noqa: ARG002 - the same in a combination
    ) -> Iterator[Problem]:
        """See `Rule.problems`."""
        for place, moment in enumerate(sent):
            yield from range_problems(f"{pointer}/{place}", moment)

    def words(self, _start: datetime) -> str:
        """See `Rule.words`."""
        if not self.moments:
            return "at no other time"
        said = [f"{words.moment(moment, 'UTC')} UTC" for moment in self.moments[:_MOST_SAID]]
        more = len(self.moments) - len(said)
        return f"on {words.listed([*said, *([words.many(more, 'other moment')] if more else [])])}"
