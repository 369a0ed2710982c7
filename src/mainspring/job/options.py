"""What a request may decide about how its job is run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter

from mainspring.schedule import ON_THE_WIRE, Duration

_SOME = Field(gt=timedelta())
PRIORITY = 5
"""The priority of a job, from 0 (last) to 9 (first), where neither its request nor its class says another."""
LAST_PRIORITY, FIRST_PRIORITY = 0, 9
LONGEST_KEY, LONGEST_TAG = 200, 100
"""Characters of a key, and of a tag."""
AGING = timedelta(minutes=10)
"""A job that has been due for so long counts one priority higher, so that none waits for ever."""


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before attempt n+1.

    ``initial * factor ** (n - 1)``, at most `longest`, less up to a half by chance.

    The chance keeps jobs that failed together from coming back together (M. Brooker, "Exponential Backoff and Jitter",
    AWS Architecture Blog, 2015: "equal jitter").
    """

    initial: Annotated[Duration, _SOME] = timedelta(seconds=1)
    factor: Annotated[float, Field(ge=1, le=100, strict=True)] = 3.0
    longest: Annotated[Duration, _SOME] = timedelta(hours=1)


def _backoff_shorthand(value: object) -> object:
    return {"initial": value} if isinstance(value, str) else value


def rank(priority: int, waited: timedelta) -> int:
    """Return as of which priority a job counts that has been due for so long; not yet due is less than nothing."""
    return min(FIRST_PRIORITY, priority + waited // AGING)


class OnConflict(StrEnum):
    """What becomes of a request whose key another job of the group has that is not done."""

    REJECT = "reject"
    KEEP = "keep"
    REPLACE = "replace"


class OnFailure(StrEnum):
    """What becomes of a job that waits for another which does not succeed."""

    WAIT = "wait"
    RUN = "run"
    CANCEL = "cancel"


MOST_AWAITED = 100
"""How many jobs one waits for at most."""


T = TypeVar("T")


def _each_once(members: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(members))


def _check_key(key: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", key):
        raise ValueError("must have no line breaks or other control characters")
    return key


def _check_tag(tag: str) -> str:
    if "," in tag:
        raise ValueError("must have no comma: several tags are several members of the array")
    return _check_key(tag)


_Key = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_KEY, json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f]+$"}),
    AfterValidator(_check_key),
]
_Tag = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_TAG, json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f,]+$"}),
    AfterValidator(_check_tag),
]
_Ids = Annotated[tuple[UUID, ...], Field(max_length=MOST_AWAITED), AfterValidator(_each_once)]
_Tags = Annotated[tuple[_Tag, ...], Field(max_length=20), AfterValidator(_each_once)]


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Options:
    """What a request may decide about how its job is run; `None` leaves the decision to the job group.

    On the wire `backoff` may be one duration, which is its `initial`. Of a group's due jobs those of the highest
    `priority` come first. A job that has not begun when `expires_after` has passed since its fire time is skipped.
    Among the group's jobs that are not done only one may have a `key`; `on_conflict` says what becomes of a second one.
    `paused` makes a job that waits to be resumed, and `pause_after` pauses one that recurs when it gave up on so many
    occurrences in a row. Limits by key count the jobs of a product that have the same `concurrency_key`.

    A job begins when the jobs of its product are done that it comes `after`; `on_failure` says what becomes of it if
    one of them does not succeed.
    """

    max_attempts: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    backoff: Annotated[
        Backoff | None,
        BeforeValidator(_backoff_shorthand, json_schema_input_type=Backoff | Annotated[Duration, _SOME] | None),
    ] = None
    timeout: Annotated[Duration, _SOME] | None = None
    priority: Annotated[int, Field(ge=LAST_PRIORITY, le=FIRST_PRIORITY, strict=True)] | None = None
    expires_after: Annotated[Duration, _SOME] | None = None
    key: _Key | None = None
    on_conflict: OnConflict | None = None
    tags: _Tags | None = None
    paused: Annotated[bool, Field(strict=True)] | None = None
    pause_after: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    concurrency_key: _Key | None = None
    after: _Ids | None = None
    on_failure: OnFailure | None = None


def is_tag(text: str) -> bool:
    """Tell whether a text can be a tag."""
    return 0 < len(text) <= LONGEST_TAG and re.search(r"[\x00-\x1f\x7f,]", text) is None


def is_key(text: object) -> bool:
    """Tell whether something can be a key."""
    return isinstance(text, str) and 0 < len(text) <= LONGEST_KEY and re.search(r"[\x00-\x1f\x7f]", text) is None


_OPTIONS = TypeAdapter(Options)


NO_OPTIONS = Options()
"""Those of a request that has none."""


def options_to_json(options: Options) -> dict[str, Any]:
    """Write options as they stand on the wire; what a request left open is absent."""
    if options is NO_OPTIONS:
        return {}
    written: dict[str, Any] = _OPTIONS.dump_python(options, mode="json", by_alias=True, exclude_none=True)
    return written


def options_from_json(data: dict[str, Any]) -> Options:
    """Read what `options_to_json` wrote."""
    return _OPTIONS.validate_python(data)
