"""Where things are: paths of products, groups and jobs, and parameters as they are sent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeAlias
from urllib.parse import quote

from mainspring.client.answers import Job, JobRef
from mainspring.client.times import moment_text

BASE = "/api/schedulers"
JobLike: TypeAlias = Job | JobRef | str
"""A job, its name, or its name as text: ``vps4/backups/019e830e-1a00-70a5-abaa-9455e3e70682``."""
_ELSEWHERE = frozenset({"", ".", ".."})
"""Segments that are left out on the way, so that the rest would name something else."""
Params: TypeAlias = tuple[tuple[str, str], ...]


def path(*parts: str) -> str:
    """Return a path below the base; each part is one segment. What would lead elsewhere is a `ValueError`."""
    if elsewhere := [part for part in parts if part in _ELSEWHERE]:
        raise ValueError(f"{elsewhere[0]!r} is no name of anything of Mainspring")
    return "/".join([BASE, *(quote(part, safe="") for part in parts)])


def level(product: str | None, job_group: str | None, *parts: str) -> str:
    """Return the path of something of a group, of a product, or of everything. A group needs its product."""
    if product is None and job_group is not None:
        raise ValueError("a job group is named with its product")
    return path(*(name for name in (product, job_group) if name is not None), *parts)


def job_path(job: JobLike, *parts: str) -> str:
    """Return the path of a job, or of something of it. Text that is no name of a job is a `ValueError`."""
    if isinstance(job, str):
        names = job.split("/")
        if len(names) != 3 or not all(names):  # noqa: PLR2004 - product, group, id
            raise ValueError(f"{job!r} is not the name of a job: product/jobGroup/id")
        job = JobRef(*names)
    return path(job.product, job.job_group, "jobs", job.id, *parts)


def params(now: datetime, **values: object) -> Params:
    """Write parameters: None is left out, moments are written in UTC, of several values each is one parameter."""
    return tuple(
        (name.rstrip("_"), _text(each, now))
        for name, value in values.items()
        if value is not None
        for each in (value if isinstance(value, Iterable) and not isinstance(value, str) else [value])
    )


def _text(value: object, now: datetime) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | timedelta):
        return moment_text(value, now)
    return str(value)
