"""What every rule knows of itself, and what is made of the table of all rules.

A rule says when a recurring trigger fires. One kind of rule is one class, in a file of its own: it knows its JSON, its
form on the wire, its series of moments, its limits and its words. Nothing else switches over the kinds.

The functions here take the table as an argument. `mainspring.schedule.rules` has the one that is in use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Optional, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.alias_generators import to_camel, to_snake

from mainspring.errors import Problem
from mainspring.schedule.civil import REACH, CivilTimes, ClockTimes, from_datetime
from mainspring.schedule.series import OnCalendar, Series
from mainspring.schedule.zones import DstGap, DstOverlap

NEVER = f"does not fire in the {REACH} years from its start: no day and time in them are as it says"
"""What is wrong with a rule of which no fire time was found."""
CROWDED = "has fire times that are a second apart; every with PT1S says that"
"""What is wrong with a rule in days and times of day that fires each second."""


class Frame(Protocol):
    """What a rule sees of the trigger that it belongs to: where it begins, and how it follows the clocks."""

    @property
    def start(self) -> datetime:
        """The moment from which the rule is counted."""

    @property
    def time_zone(self) -> str:
        """The zone whose clocks it follows."""

    @property
    def dst_gap(self) -> DstGap | None:
        """What becomes of civil times that the clocks skip; `None`: as the rule has it by default."""

    @property
    def dst_overlap(self) -> DstOverlap | None:
        """What becomes of civil times that the clocks show twice; `None`: as the rule has it by default."""


class Terms(Protocol):
    """The members of a schedule on the wire that a rule may contradict."""

    @property
    def count(self) -> int | None:
        """How often it fires."""

    @property
    def end(self) -> datetime | None:
        """Until when it fires."""

    @property
    def dst_gap(self) -> DstGap | None:
        """See `Frame`."""

    @property
    def dst_overlap(self) -> DstOverlap | None:
        """See `Frame`."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How often and how long a rule fires, where its own text says it. An `until` without a zone is a civil time."""

    count: int | None = None
    until: datetime | None = None


_UNBOUNDED = Bounds()


class Rule(ABC):
    """One kind of rule; its instances are frozen values.

    `sent` stands for what the rule's field on the wire has read, of the type that `wire_type` names.
    """

    __slots__ = ()

    kind: ClassVar[str]
    """The name of the member that holds it, in JSON and on the wire."""
    phrase: ClassVar[str] = ""
    """How a client is told of it as a member of a combination: a phrase with the name of its member."""
    start_is_fire_time: ClassVar[bool] = False
    """Whether the start of the trigger is a fire time by itself."""
    is_combination: ClassVar[bool] = False
    """Whether it is made of other rules. Such a one is no member of a combination."""

    # --- JSON and the wire

    @classmethod
    @abstractmethod
    def from_json(cls, value: Any, rules: Rules) -> Self:
        """Read what `to_json` wrote; `rules` are those that a combination may be made of."""

    @abstractmethod
    def to_json(self) -> Any:
        """Write the rule as the value of the member that is called after its kind."""

    @classmethod
    @abstractmethod
    def wire_type(cls, rules: Rules) -> Any:
        """Return the type of its field on the wire, for pydantic; `rules` are those that it may be made of."""

    @classmethod
    @abstractmethod
    def from_wire(cls, sent: Any, rules: Rules) -> Self:
        """Return the rule that was sent; `rules` as for `wire_type`."""

    def apart(self) -> tuple[Self, Bounds]:
        """Return the rule without what its own text says of how often and how long it fires, and that."""
        return self, _UNBOUNDED

    # --- when it fires

    @abstractmethod
    def series(self, frame: Frame) -> Series:
        """Return the moments that the rule names. What is before the start may be among them."""

    def clock(self, frame: Frame) -> ClockTimes | None:  # noqa: ARG002 - not of all rules
        """Return all times of day that it may name; `None` if it is not made of times of day."""
        return None

    @property
    def has_whole_seconds(self) -> bool:
        """Whether its start is a whole second where it is the moment of creation."""
        return False

    def for_job(self, chance: Callable[[str], int]) -> Self:  # noqa: ARG002 - the same for all jobs
        """Return the rule as a job has it. `chance` answers a large number that is the job's own, for a name."""
        return self

    def left(self, frame: Frame, gone: datetime) -> Self | None:  # noqa: ARG002 - most count nothing
        """Return the rule less the fire times up to and including `gone`; `None` if nothing is left of it."""
        return self

    @property
    def depends_on_id(self) -> tuple[str, ...]:
        """The parts of the rule that `for_job` fills in, as its author wrote them."""
        return ()

    # --- limits and words

    @classmethod
    def kind_problems(cls, value: object, pointer: str, rules: Rules) -> Iterator[Problem]:  # noqa: ARG003 - see there
        """Check that each part of a combination, as it was sent, says in one way how it repeats."""
        yield from ()

    def problems(
        self,
        sent: Any,  # noqa: ARG002
        frame: Frame,  # noqa: ARG002
        pointer: str,  # noqa: ARG002
        rules: Rules,  # noqa: ARG002
        *,
        combined: bool = False,  # noqa: ARG002
    ) -> Iterator[Problem]:
        """Find what is wrong with the rule by itself, or as a member of a combination; it stands at `pointer`."""
        yield from ()

    def conflicts(self, sent: Any, terms: Terms) -> Iterator[tuple[str, str]]:  # noqa: ARG002 - not all have some
        """Find members of the schedule that contradict the rule: the name of each, and what is wrong."""
        yield from ()

    def read_otherwise(self, sent: Any, frame: Frame, rules: Rules) -> Iterator[str]:  # noqa: ARG002 - not all are
        """Say what of the rule other programs read otherwise, or is perhaps not meant as it stands there."""
        yield from ()

    @property
    def never(self) -> Problem:
        """What is said of a rule that has no fire time in the years that are looked through."""
        return Problem("/schedule", "SCHEDULE_NEVER", NEVER)

    @abstractmethod
    def words(self, start: datetime) -> str:
        """Say in English when it fires; `start` is the civil time that it is counted from."""


Rules = Mapping[str, type[Rule]]
"""Kinds of rules by the names of their members."""
R = TypeVar("R", bound=Rule)


def on_calendar(times: CivilTimes, frame: Frame) -> OnCalendar:
    """Return the moments of civil times in the frame's zone.

    If it leaves open what a change of the clocks does, times that name hours keep to them, and others go on in real
    time.
    """
    gap, overlap = (DstGap.SKIP, DstOverlap.BOTH) if times.hourly else (DstGap.NEXT_VALID, DstOverlap.FIRST)
    policies = frame.dst_gap or gap, frame.dst_overlap or overlap
    return OnCalendar(times, frame.time_zone, *policies, from_datetime(frame.start))


def single(rules: Mapping[str, type[R]]) -> dict[str, type[R]]:
    """Leave out of a table what is made of other rules."""
    return {kind: rule for kind, rule in rules.items() if not rule.is_combination}


def rule_from_json(data: Mapping[str, Any], rules: Mapping[str, type[R]]) -> R:
    """Read the rule that is one member of a JSON object. Raises `ValueError` if it has none that is known."""
    for name, value in data.items():
        rule = rules.get(name)
        if rule is not None:
            return rule.from_json(value, rules)
    raise ValueError(f"no known kind of rule ({', '.join(rules)}) is among the members {', '.join(sorted(data))}")


def one_kind(sent: Mapping[str, Any], rules: Rules, pointer: str) -> Iterator[Problem]:
    """Check that an object that stands at `pointer`, as it was sent, has a rule of exactly one kind."""
    present = [kind for kind in rules if sent.get(kind) is not None]
    if not present:
        first, *others = rules
        detail = f"is required: how the job repeats; or else {' or '.join(others)}"
        yield Problem(f"{pointer}/{first}", "REQD_FIELD_MISSING", detail)
    for kind in present[1:]:
        yield Problem(f"{pointer}/{kind}", "SCHEDULE_CONFLICT", f"and {present[0]} both say how to repeat; send one")


# --- on the wire ------------------------------------------------------------------------------------------------------


class OnTheWire(BaseModel):
    """An object in camelCase that takes no members but its own."""

    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


def wire_model(name: str, doc: str, rules: Rules, *bases: type[BaseModel]) -> type[BaseModel]:
    """Make a model with a field for each kind of rule, before the fields of other bases."""
    fields: dict[str, Any] = {field_of(kind): (Optional[rule.wire_type(rules)], None) for kind, rule in rules.items()}  # noqa: UP045 - a type that is made at run time
    of_rules = create_model(name, __base__=OnTheWire, __doc__=doc, __module__=__name__, **fields)
    return create_model(name, __base__=(*bases, of_rules), __doc__=doc, __module__=__name__) if bases else of_rules


def sent_rules(model: BaseModel, rules: Mapping[str, type[R]]) -> list[tuple[type[R], Any]]:
    """List the kinds of rules that an object made by `wire_model` has, each with what was sent."""
    members = model.__dict__
    return [(rule, sent) for kind, rule in rules.items() if (sent := members.get(field_of(kind))) is not None]


field_of = cache(to_snake)
"""What the field of a kind is called in Python: ``any_of`` for ``anyOf``."""
