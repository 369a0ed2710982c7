"""Several rules in one: `anyOf` fires whenever one of them does, and once if two do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field

from mainspring.errors import Problem
from mainspring.schedule.civil import SECOND, CivilTimes, from_datetime, merged
from mainspring.schedule.rules.rule import Frame, Rule, Rules, one_kind, rule_from_json, sent_rules, single, wire_model
from mainspring.schedule.series import FOREVER, AnySeries, InTurn, Listed, OnCalendar, Series, With
from mainspring.schedule.zones import DstGap, DstOverlap

MOST_RULES = 10
"""How many rules may be combined."""
MOST_TIMES = 10_000
"""How many times a day combined rules may name."""


@dataclass(frozen=True, slots=True)
class AnyOf(Rule):
    """Fires whenever one of several rules does; once, if two do."""

    kind: ClassVar[str] = "anyOf"
    is_combination: ClassVar[bool] = True

    rules: tuple[Rule, ...]

    @classmethod
    def from_json(cls, value: Any, rules: Rules) -> AnyOf:
        """See `Rule.from_json`. Raises `ValueError` for a combination in a combination."""
        members = tuple(rule_from_json(each, rules) for each in value)
        if any(member.is_combination for member in members):
            raise ValueError("a combination of rules has another one as a member")
        return cls(members)

    def to_json(self) -> list[dict[str, Any]]:
        """See `Rule.to_json`."""
        return [{rule.kind: rule.to_json()} for rule in self.rules]

    @classmethod
    def wire_type(cls, rules: Rules) -> Any:
        """See `Rule.wire_type`."""
        members = single(rules)
        *phrases, last = (rule.phrase for rule in members.values())
        model = wire_model("RuleOnTheWire", f"One way of repeating: {', '.join(phrases)}, or {last}.", members)
        return Annotated[tuple[model, ...], Field(min_length=1, max_length=MOST_RULES)]  # type: ignore[valid-type]

    @classmethod
    def from_wire(cls, sent: Sequence[BaseModel], rules: Rules) -> AnyOf:
        """See `Rule.from_wire`. A member that does not say how it repeats is left out."""
        return cls(tuple(rule.from_wire(value, rules) for each in sent for rule, value in _sent_rule(each, rules)))

    def series(self, frame: Frame) -> Series:
        """See `Rule.series`."""
        members = [rule.series(frame) for rule in self.rules]
        listed = Listed(tuple(sorted({at for each in members if isinstance(each, Listed) for at in each.moments})))
        lasting = [_last(each) for each in members if not isinstance(each, Listed)]
        if not lasting:
            return listed
        ends = sorted({last for last, _ in lasting})
        turns = [(end, _together([each for last, each in lasting if last >= end], frame)) for end in ends]
        series = turns[0][1] if ends == [FOREVER] else InTurn(tuple(turns))
        return With(series, listed) if listed.moments else series

    @property
    def has_whole_seconds(self) -> bool:
        """See `Rule.has_whole_seconds`."""
        return any(rule.has_whole_seconds for rule in self.rules)

    def for_job(self, chance: Callable[[str], int]) -> AnyOf:
        """See `Rule.for_job`."""
        return AnyOf(tuple(rule.for_job(chance) for rule in self.rules)) if self.depends_on_id else self

    def left(self, frame: Frame, gone: datetime) -> AnyOf | None:
        """See `Rule.left`."""
        members = [rule.left(frame, gone) for rule in self.rules]
        rules = tuple(rule for rule in members if rule is not None)
        return AnyOf(rules) if rules else None

    @property
    def depends_on_id(self) -> tuple[str, ...]:
        """See `Rule.depends_on_id`."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.depends_on_id))

    @classmethod
    def kind_problems(cls, value: object, pointer: str, rules: Rules) -> Iterator[Problem]:
        """See `Rule.kind_problems`."""
        members = single(rules)
        for index, member in enumerate(value[:MOST_RULES] if isinstance(value, list) else ()):
            if isinstance(member, Mapping):
                yield from one_kind(member, members, f"{pointer}/{index}")

    def problems(
        self,
        sent: Sequence[BaseModel],
        frame: Frame,
        pointer: str,
        rules: Rules,
        *,
        combined: bool = False,  # noqa: ARG002 - it never is
    ) -> Iterator[Problem]:
        """See `Rule.problems`: those of each member, and then what they are together."""
        for index, each in enumerate(sent):
            found = _sent_rule(each, rules)
            if not found:
                yield from one_kind({}, single(rules), f"{pointer}/{index}")
            for kind, value in found:
                place = f"{pointer}/{index}/{kind.kind}"
                yield from kind.from_wire(value, rules).problems(value, frame, place, rules, combined=True)
        if self._is_crowd(frame):
            detail = f"must not name more than {MOST_TIMES} times a day, nor two that are a second apart"
            yield Problem(pointer, "SCHEDULE_TOO_FREQUENT", detail)

    def read_otherwise(self, sent: Sequence[BaseModel], frame: Frame, rules: Rules) -> Iterator[str]:
        """See `Rule.read_otherwise`."""
        for each in sent:
            for kind, value in _sent_rule(each, rules):
                yield from kind.from_wire(value, rules).read_otherwise(value, frame, rules)

    def words(self, start: datetime) -> str:
        """See `Rule.words`."""
        return "; and ".join(rule.words(start) for rule in self.rules)

    def _is_crowd(self, frame: Frame) -> bool:
        clocks = [clock for rule in self.rules if (clock := rule.clock(frame)) is not None]
        if sum(map(len, clocks)) > MOST_TIMES:
            return True
        times = sorted({clock[place] for clock in clocks for place in range(len(clock))})
        return any(right - left <= SECOND for left, right in pairwise(times))


def _sent_rule(sent: BaseModel, rules: Rules) -> list[tuple[type[Rule], Any]]:
    """Return the one rule that a member of `anyOf` has. Where it has several, which is refused, the last."""
    return sent_rules(sent, rules)[-1:]


def _last(series: Series) -> tuple[int, Series]:
    """Return the last moment of a member with what it is the last of, so that members with an end are merged too."""
    return series.turns[0] if isinstance(series, InTurn) else (FOREVER, series)


def _together(members: Sequence[Series], frame: Frame) -> Series:
    """Return the moments of several series; those that follow the clocks alike are merged, to be counted as one."""
    alike: dict[tuple[DstGap, DstOverlap], list[CivilTimes]] = {}
    for member in members:
        if isinstance(member, OnCalendar):
            policies = (member.gap, member.overlap) if frame.time_zone != "UTC" else (DstGap.SKIP, DstOverlap.FIRST)
            alike.setdefault(policies, []).append(member.times)
    start = from_datetime(frame.start)
    together = [
        OnCalendar(merged(tuple(times)), frame.time_zone, *policies, start) for policies, times in alike.items()
    ]
    members = [*together, *(member for member in members if not isinstance(member, OnCalendar))]
    return members[0] if len(members) == 1 else AnySeries(tuple(members))
