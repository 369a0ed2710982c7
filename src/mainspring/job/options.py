"""What a request may decide about how its job is run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter

from mainspring.schedule import ON_THE_WIRE, Duration

_SOME = Field(gt=timedelta())


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


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Options:
    """What a request may decide about how its job is run; `None` leaves the decision to the job group.

    On the wire `backoff` may be one duration, which is its `initial`.
    """

    max_attempts: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    backoff: Annotated[
        Backoff | None,
        BeforeValidator(_backoff_shorthand, json_schema_input_type=Backoff | Annotated[Duration, _SOME] | None),
    ] = None
    timeout: Annotated[Duration, _SOME] | None = None


_OPTIONS = TypeAdapter(Options)


def options_to_json(options: Options) -> dict[str, Any]:
    """Write options as they stand on the wire; what a request left open is absent."""
    written: dict[str, Any] = _OPTIONS.dump_python(options, mode="json", by_alias=True, exclude_none=True)
    return written


def options_from_json(data: dict[str, Any]) -> Options:
    """Read what `options_to_json` wrote."""
    return _OPTIONS.validate_python(data)
