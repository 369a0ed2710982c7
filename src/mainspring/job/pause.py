"""Who has stopped what, when, why and until when: a job, a group, a product, or everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from mainspring.job.key import JobKey
from mainspring.schedule import format_time, parse_when


class Level(StrEnum):
    """How much a pause stops."""

    JOB = "job"
    GROUP = "group"
    PRODUCT = "product"
    EVERYTHING = "everything"


class Hold(NamedTuple):
    """That something was paused: when, why and by whom, as far as that is known."""

    at: datetime
    reason: str | None = None
    by: str | None = None


class Scope(NamedTuple):
    """What a pause above single jobs stops: a group, a product (no `job_group`), or everything (nothing at all)."""

    product: str = ""
    job_group: str = ""

    @property
    def level(self) -> Level:
        """How much it is."""
        if self.job_group:
            return Level.GROUP
        return Level.PRODUCT if self.product else Level.EVERYTHING

    @classmethod
    def named(cls, name: str) -> Scope:
        """Return the group or product of a name such as ``vps4/backups``: what `str` writes."""
        return cls(*name.split("/", 1))

    def __str__(self) -> str:
        return "/".join(filter(None, self)) or "everything"

    def includes(self, other: Scope) -> bool:
        """Tell whether all of another scope belongs to it."""
        return self.product in {"", other.product} and self.job_group in {"", other.job_group}

    def has(self, key: JobKey) -> bool:
        """Tell whether a job group belongs to it."""
        return self.product in {"", key.product} and self.job_group in {"", key.job_group}


class Pause(NamedTuple):
    """A pause of a group, a product or everything. It ends at `until`, or when somebody resumes it.

    `ended_at` and `ended_by` are set once it is over: history. `ended_by` is `None` also where it ended at `until`.
    """

    scope: Scope
    hold: Hold
    until: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None


def pauses_of(pauses: Iterable[Pause], key: JobKey) -> Iterator[Pause]:
    """Yield the pauses that stop a job group."""
    return (pause for pause in pauses if pause.scope.has(key))


def hold_to_json(hold: Hold) -> dict[str, Any]:
    """Write when, why and by whom something was paused."""
    return {"at": format_time(hold.at), "reason": hold.reason, "by": hold.by}


def hold_from_json(data: dict[str, Any]) -> Hold:
    """Read what `hold_to_json` wrote. Raises `ValueError`, `TypeError`, `LookupError` or `AttributeError` for else."""
    return Hold(parse_when(data["at"]), data.get("reason"), data.get("by"))


def pause_to_json(pause: Pause) -> dict[str, Any]:
    """Write a pause as a note."""
    return {
        **pause.scope._asdict(),
        **hold_to_json(pause.hold),
        "until": pause.until and format_time(pause.until),
        "ended_at": pause.ended_at and format_time(pause.ended_at),
        "ended_by": pause.ended_by,
    }


def pause_from_json(data: dict[str, Any]) -> Pause:
    """Read what `pause_to_json` wrote. Raises `ValueError`, `TypeError`, `LookupError` or `AttributeError` for else."""
    until, ended_at = data.get("until"), data.get("ended_at")
    return Pause(
        Scope(data["product"], data["job_group"]),
        hold_from_json(data),
        until and parse_when(until),
        ended_at and parse_when(ended_at),
        data.get("ended_by"),
    )
