"""How many jobs may run at once, begin in a while, and be created: of a group, of a product, and of one key.

What a key is, jobs say (`Job.concurrency_key`); one key is the same in all groups of a product. `Gate` decides, by what
runs, which of the jobs that are due may begin: pure, and the same on every store. A `Quota` holds back no job
that is there, but whoever creates more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from mainspring.job.key import JobKey
from mainspring.job.pause import Scope
from mainspring.job.pressure import Pressure
from mainspring.problems import problems_of
from mainspring.schedule import ON_THE_WIRE, Duration, format_duration

MOST_LIMIT = 1_000_000
MOST_WEIGHT = 1000
MOST_LIMITS = 20
"""How many limits, and how many rates, a group or a product has at most."""
LONGEST_PER = timedelta(days=31)
MOST_PENDING = 1_000_000_000
MOST_BYTES = 1_000_000_000_000_000
SLACK = 0.985
"""The part of a rate that is used: so starts that come unevenly are not more than the rate and one either."""
CATCHING_UP = 0.007
"""What part of its time a rate may lag behind and make up for."""
_MINUTE = timedelta(minutes=1)
_LOOK = 10
"""How many jobs of one key are looked at where only rates limit it."""


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many jobs run at once; with ``by="key"`` of each key."""

    limit: Annotated[int, Field(ge=1, le=MOST_LIMIT, strict=True)]
    by: Literal["key"] | None = None


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many jobs begin within `per`, evenly spread over it; with ``by="key"`` of each key."""

    limit: Annotated[int, Field(ge=1, le=MOST_LIMIT, strict=True)]
    per: Annotated[Duration, Field(ge=timedelta(seconds=1), le=LONGEST_PER)]
    by: Literal["key"] | None = None

    @property
    def spacing(self) -> timedelta:
        """How long after one job the next may begin."""
        return self.per / (self.limit * SLACK)

    @property
    def lag(self) -> timedelta:
        """How much of a delay is made up for."""
        return max(self.spacing / 2, self.per * CATCHING_UP)


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Quota:
    """How many jobs may be there that are not done, how many may be created in a minute, and how large they may be.

    `bytes` are those of the requests of the jobs that are not done, as they are stored. `None` is no quota.
    """

    pending: Annotated[int, Field(ge=1, le=MOST_PENDING, strict=True)] | None = None
    creates_per_minute: Annotated[int, Field(ge=1, le=MOST_LIMIT, strict=True)] | None = None
    bytes: Annotated[int, Field(ge=1, le=MOST_BYTES, strict=True)] | None = None

    def __bool__(self) -> bool:
        """Tell whether there is any quota."""
        return (self.pending, self.creates_per_minute, self.bytes) != (None, None, None)


class Spending(NamedTuple):
    """A number of creates a minute as a moment that each create moves on, by the same time (GCRA, ITU-T I.371).

    So many may be created at once, and then again as time passes. The moment may be ahead of the time by `most`.
    """

    number: int

    @property
    def each(self) -> timedelta:
        """By how much one create moves the moment: rounded up, so that no more are created in the long run."""
        return -(-_MINUTE // self.number)

    @property
    def most(self) -> timedelta:
        """How far the moment may be ahead of the time."""
        return self.number * self.each

    def cost(self, creates: int) -> timedelta:
        """Return by how much so many creates move the moment."""
        return creates * self.each

    def used(self, ahead: timedelta) -> int:
        """Return how many creates count that brought the moment so far ahead of the time."""
        return max(0, -(-ahead // self.each))

    @staticmethod
    def name(scope: Scope) -> str:
        """Name the moment of a group or product among the rates of its product, none of which begins like this."""
        return f"+{scope.job_group or '*'}"


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Limits:
    """The limits and rates of a group or a product, of which all hold, its weight where slots are scarce, its quota."""

    concurrency: Annotated[tuple[Limit, ...], Field(max_length=MOST_LIMITS)] = ()
    rates: Annotated[tuple[Rate, ...], Field(max_length=MOST_LIMITS)] = ()
    weight: Annotated[int, Field(ge=1, le=MOST_WEIGHT, strict=True)] | None = None
    quota: Quota | None = None

    @classmethod
    def of(cls, limits: Iterable[Limit | Rate | Quota]) -> Limits:
        """Return what a job class says."""
        limits = tuple(limits)
        return cls(
            tuple(limit for limit in limits if isinstance(limit, Limit)),
            tuple(rate for rate in limits if isinstance(rate, Rate)),
            quota=next((quota for quota in limits if isinstance(quota, Quota)), None),
        )

    @classmethod
    def check(cls, limits: Any) -> None:
        """Raise `ValueError` unless a job class can say that."""
        if not isinstance(limits, tuple | list) or not all(isinstance(each, Limit | Rate | Quota) for each in limits):
            raise ValueError("they must be a tuple of Limit, Rate and Quota")
        if problems := [f"{what} of {each} {why}" for each in limits for what, why in _problems(each)]:
            raise ValueError("; ".join(problems))
        kinds = Counter(map(type, limits))
        if kinds[Quota] > 1:
            raise ValueError("there is more than one Quota")
        if max(kinds.values(), default=0) > MOST_LIMITS:
            raise ValueError(f"there are more than {MOST_LIMITS} of a kind")


def _problems(limit: Any) -> Iterator[tuple[str, str]]:
    if isinstance(limit, Rate) and not _is_timedelta(limit.per):
        yield "per", "must be a timedelta"
        return
    try:
        TypeAdapter(type(limit)).validate_python(asdict(limit), by_name=True)
    except ValidationError as error:
        yield from ((problem.pointer[1:], problem.detail) for problem in problems_of(error, None))


def _is_timedelta(thing: Any) -> bool:
    return isinstance(thing, timedelta)


class Cap(NamedTuple):
    """Limits, and the group or product that has them."""

    scope: Scope
    limits: Limits


def caps_of(key: JobKey, *sources: Mapping[Scope, Limits]) -> tuple[Cap, ...]:
    """Return what limits a job group: its own limits and those of its product, by the first source that has any."""
    caps = []
    for scope in (Scope(key.product), Scope(*key)):
        limits = next((source[scope] for source in sources if scope in source), Limits())
        if limits.concurrency or limits.rates:
            caps.append(Cap(scope, limits))
    return tuple(caps)


def quotas_of(key: JobKey, *sources: Mapping[Scope, Limits]) -> tuple[tuple[Scope, Quota], ...]:
    """Return the quotas that creates of a job group keep to: its own and that of its product, as `caps_of` does."""
    limits = [
        (scope, next((source[scope] for source in sources if scope in source), Limits()))
        for scope in (Scope(key.product), Scope(*key))
    ]
    return tuple((scope, each.quota) for scope, each in limits if each.quota)


def weight_of(scope: Scope, *sources: Mapping[Scope, Limits]) -> int:
    """Return the weight of a group or product, by the first source that has limits of it; 1 where none is said."""
    return next((source[scope].weight for source in sources if scope in source), None) or 1


# --- who may begin ----------------------------------------------------------------------------------------------------


class Candidate(NamedTuple):
    """A job that is due, or soon will be."""

    id: Any
    concurrency_key: str | None
    due_at: datetime


class Load(NamedTuple):
    """What runs of a product, by group and by key, and when each of its rates lets the next job begin.

    `began` is when the last run that goes on was claimed, and `pressures` what is known of services that were busy, by
    key.
    """

    groups: Mapping[str, int]
    keys: Mapping[str, int]
    rates: Mapping[str, datetime]
    began: Mapping[str, datetime] = {}
    pressures: Mapping[str, Pressure] = {}

    def of(self, scope: Scope) -> int:
        """Return how many jobs of a group or product run."""
        return self.groups.get(scope.job_group, 0) if scope.job_group else sum(self.groups.values())


class Gate:
    """Lets jobs through as long as limits and rates allow it, by rates also those that may begin within `ahead`.

    Nor does it let jobs begin of a key whose service is busy. `ids` are those that begin, `begins` when, where rates
    let them do so later than at once. `rates` say when the next one may begin, by their names, and until when that is
    to be known. `full` are the keys that let no more of their jobs begin, and `again` is when a rate, or a busy
    service, lets one do so that held one back.
    """

    def __init__(self, caps: Sequence[Cap], load: Load, now: datetime, ahead: timedelta = timedelta()) -> None:
        limits = [(scope, limit) for scope, limits in caps for limit in limits.concurrency]
        self._free = min((limit.limit - load.of(scope) for scope, limit in limits if not limit.by), default=None)
        self._key_limit = min((limit.limit for _, limit in limits if limit.by), default=None)
        self._rates = [(_name(scope, rate), rate) for scope, limits in caps for rate in limits.rates]
        self._keys = Counter(load.keys)
        self._next = dict(load.rates)
        self._pressures = load.pressures
        self._began = dict(load.began)
        self._now = now
        self._until = now + ahead
        self.ids: list[Any] = []
        self.begins: dict[Any, datetime] = {}
        self.rates: dict[str, tuple[datetime, datetime]] = {}
        self.full: set[str] = set()
        self.again: datetime | None = None
        self._is_closed = False

    @property
    def wait(self) -> timedelta | None:
        """How long it is until a rate lets one begin that held one back."""
        return None if self.again is None else self.again - self._now

    @property
    def only_counts(self) -> bool:
        """Whether it neither asks for the keys of jobs nor for moments: then `room` says it all."""
        return self._key_limit is None and not self._rates and not self._pressures

    def room(self, most: int) -> int:
        """Return how many jobs may begin by the limits that ask for no keys, of `most`."""
        return most if self._free is None else min(most, self._free - len(self.ids))

    @property
    def is_full(self) -> bool:
        """Whether the group or product has all that it may have."""
        return self._free is not None and self._free <= len(self.ids)

    def most_of_key(self, most: int) -> int:
        """Return how many jobs of one key are worth a look, of `most` in all."""
        return min(most, self._key_limit or _LOOK)

    @property
    def is_cut(self) -> bool:
        """Whether jobs were held back though others may begin, or may at any time: others of a key, or all of them."""
        return self.is_full or (bool(self.full) and not self._is_closed)

    def is_done(self, most: int) -> bool:
        """Whether no more jobs may begin, whatever comes next: there are `most`, or nothing lets any begin."""
        return len(self.ids) >= most or self.is_full or self._is_closed

    def is_open_to_others(self, most: int) -> bool:
        """Whether jobs of other keys than those that are full may begin, until there are `most` in all."""
        return bool(self.full) and len(self.ids) < most and not self.is_full and self._closed(None) is None

    def let_through(self, candidates: Iterable[Candidate], most: int) -> None:
        """Take those of the candidates, in their order, that may begin, until there are `most` in all."""
        taken = set(self.ids)
        for candidate in candidates:
            if len(self.ids) >= most or self.is_full:
                return
            if self._rates and (closed := self._closed(None)) is not None:
                self._is_closed, self.again = True, closed
                return
            key = candidate.concurrency_key
            if candidate.id in taken:
                continue
            if key is not None:
                if self._key_limit is not None and self._keys[key] >= self._key_limit:
                    self.full.add(key)
                    continue
                if (pressure := self._pressures.get(key)) is not None and not self._bears(key, pressure):
                    if self._now < pressure.until:
                        self._open_at(pressure.until)
                    self.full.add(key)
                    continue
                if self._rates and (closed := self._closed(key)) is not None:
                    self._open_at(closed)
                    self.full.add(key)
                    continue
                self._keys[key] += 1
                self._began[key] = self._now
            self._take(candidate)

    def _bears(self, key: str, pressure: Pressure) -> bool:
        return pressure.allows(self._keys[key], self._began.get(key), self._now)

    def _open_at(self, moment: datetime) -> None:
        self.again = moment if self.again is None else min(self.again, moment)

    def _closed(self, key: str | None) -> datetime | None:
        """Return when the last rate opens that is closed: those of a key, or those of all jobs."""
        moments = (self._next.get(name) for name in self._names(key))
        return max((moment for moment in moments if moment is not None and moment > self._until), default=None)

    def _names(self, key: str | None) -> Iterator[str]:
        return (
            f"{name} {key}" if rate.by else name for name, rate in self._rates if bool(rate.by) == (key is not None)
        )

    def _take(self, candidate: Candidate) -> None:
        id_, key, due_at = candidate
        self.ids.append(id_)
        if not self._rates:
            return
        rates = [(f"{name} {key}" if rate.by else name, rate) for name, rate in self._rates if key or not rate.by]
        begins = max([due_at, self._now, *(self._next.get(name, due_at) for name, _ in rates)])
        if begins > max(due_at, self._now):
            self.begins[id_] = begins
        taken: dict[str, tuple[datetime, datetime]] = {}
        for name, rate in rates:
            late = begins - rate.lag
            following = max(self._next.get(name, late), late) + rate.spacing
            until = following, following + rate.lag
            taken[name] = max(until, taken.get(name, until))  # of several of one name the slowest holds
        self.rates |= taken
        self._next |= {name: following for name, (following, _) in taken.items()}


def _name(scope: Scope, rate: Rate) -> str:
    """Name a rate within its product; those of a key are shared by all groups that have one of the same length."""
    return f"{'key' if rate.by else scope.job_group or '*'} {format_duration(rate.per)}"


# --- on the wire ------------------------------------------------------------------------------------------------------

LIMITS = TypeAdapter(Limits)


def limits_to_json(limits: Limits) -> dict[str, Any]:
    """Write limits as they stand on the wire."""
    written: dict[str, Any] = LIMITS.dump_python(limits, mode="json", by_alias=True, exclude_none=True)
    return written


def limits_from_json(data: Any) -> Limits:
    """Read what `limits_to_json` wrote. Raises pydantic's `ValidationError` for anything else."""
    return LIMITS.validate_python(data)
