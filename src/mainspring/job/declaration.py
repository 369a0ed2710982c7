"""Recurring jobs that settings or plugins declare: each is there once, under its name, whoever starts how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID, uuid5

from pydantic import ConfigDict, Field, with_config

from mainspring.job.key import JobKey

_SPACE = UUID("5f0f6c3a-7d0e-5d0b-9a55-6f1d2f4b8c11")
"""The name space of the ids of declared jobs (RFC 9562, version 5). It must never change."""


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A recurring job of a group, under a name that is its own there.

    `schedule` and `options` are those of a request as on the wire, and `request` are the fields of the group's own.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    product: str
    job_group: str
    schedule: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> JobKey:
        """The job group."""
        return JobKey(self.product, self.job_group)

    @property
    def job_id(self) -> UUID:
        """The id of the job: the same wherever it is declared under this name."""
        return uuid5(_SPACE, str(self))

    @property
    def body(self) -> dict[str, Any]:
        """The body of the request that creates the job. Its name is its key, unless it says another."""
        return {**self.request, "schedule": dict(self.schedule), "options": {"key": self.name, **self.options}}

    def __str__(self) -> str:
        return f"{self.product}/{self.job_group}/{self.name}"
