"""A rule of another kind needs a class and a row in the table, and nothing else."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field

from mainspring.errors import Problem
from mainspring.schedule import (
    KINDS,
    describe,
    kind_problems,
    schedule_problems,
    to_trigger,
    trigger_from_json,
    trigger_to_json,
)
from mainspring.schedule.civil import from_datetime
from mainspring.schedule.rules import RULES
from mainspring.schedule.rules.rule import Frame, Rule, Rules
from mainspring.schedule.series import Series
from mainspring.schedule.wire import schedule_model

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Listed(Series):
    """Moments, one by one."""

    moments: tuple[int, ...]

    def after(self, moment: int) -> int | None:
        """See `Series.after`."""
        return next((each for each in self.moments if each > moment), None)

    def number(self, low: int, high: int) -> int:
        """See `Series.number`."""
        return max(0, bisect_left(self.moments, high) - bisect_left(self.moments, low))


@dataclass(frozen=True, slots=True)
class Hours(Rule):
    """Fires some hours after the start."""

    kind: ClassVar[str] = "someHours"
    phrase: ClassVar[str] = "after `someHours`"

    hours: tuple[int, ...]

    @classmethod
    def from_json(cls, value: list[int], _rules: Rules) -> "Hours":
        return cls(tuple(value))

    def to_json(self) -> list[int]:
        return list(self.hours)

    @classmethod
    def wire_type(cls, _rules: Rules) -> Any:
        return Annotated[tuple[int, ...], Field(max_length=3)]

    @classmethod
    def from_wire(cls, sent: tuple[int, ...], _rules: Rules) -> "Hours":
        return cls(sent)

    def series(self, frame: Frame) -> Series:
        return Listed(tuple(from_datetime(frame.start + hour * HOUR) for hour in self.hours))

    def problems(
        self, _sent: object, _frame: Frame, pointer: str, _rules: Rules, *, combined: bool = False
    ) -> Iterator[Problem]:
        if len(set(self.hours)) < len(self.hours):
            yield Problem(pointer, "SCHEDULE_TOO_FREQUENT", f"has an hour twice{' among others' if combined else ''}")

    def words(self, _start: datetime) -> str:
        return f"after {len(self.hours)} hours"


@pytest.fixture(autouse=True)
def _with_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the row."""
    monkeypatch.setitem(RULES, Hours.kind, Hours)


@pytest.mark.parametrize("rule", [{"someHours": [2, 5]}, {"anyOf": [{"someHours": [2]}, {"every": "PT5H"}]}])
def test_another_kind_is_read_fires_and_is_written(rule: dict[str, Any]) -> None:
    """Alone and in a combination: from the wire, to and from JSON, by its fire times, and in English."""
    schedule = schedule_model(RULES).model_validate(rule)
    assert [] == [*kind_problems(rule), *schedule_problems(schedule, None, NOW, ())]
    trigger = to_trigger(schedule, None, NOW)
    assert trigger == trigger_from_json(trigger_to_json(trigger))
    assert rule.items() <= trigger_to_json(trigger).items()
    assert {NOW + 2 * HOUR, NOW + 5 * HOUR} <= set(trigger.fire_times(NOW, NOW + 5 * HOUR))
    assert "fter" in describe(trigger)


def test_problems_of_another_kind_are_found() -> None:
    """Its limits are checked where it stands, and that it is the only one of its kind."""
    model = schedule_model(RULES)
    alone = model.model_validate({"someHours": [2, 2]})
    assert ["/schedule/someHours"] == [problem.pointer for problem in schedule_problems(alone, None, NOW, ())]
    combined = model.model_validate({"anyOf": [{"every": "PT5H"}, {"someHours": [2, 2]}]})
    assert ["/schedule/anyOf/1/someHours"] == [each.pointer for each in schedule_problems(combined, None, NOW, ())]
    both = {"anyOf": [{"someHours": [2], "every": "PT5H"}]}
    assert ["/schedule/anyOf/0/someHours"] == [problem.pointer for problem in kind_problems(both)]


def test_schema_has_another_kind() -> None:
    """The schema of a schedule is made of the table."""
    schema = schedule_model(RULES).model_json_schema()
    assert "someHours" in schema["properties"]
    assert "someHours" in schema["$defs"]["RuleOnTheWire"]["properties"]


def test_kinds_are_those_of_the_table() -> None:
    """Without the row of this test there are five."""
    assert ("every", "cron", "rrule", "at", "anyOf") == KINDS
