"""One job as a line of JSON: what another service needs to make it again under its own id, and to go on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mainspring.client import Client, Job, JobRef
from mainspring.schedule import format_time, parse_when

_SEGMENT = r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$"
_PLAN = frozenset({"when", "schedule", "options", "jobType", "repeatCount", "repeatIntervalInDays"})
"""What a request has besides the fields of the plugin."""
_PUT_OFF = frozenset({"window", "jitter", "calendar"})
"""The members of a schedule by which a run may begin later than its fire time."""


class _Part(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True
    )


def _time(text: str) -> str:
    parse_when(text)
    return text


_Time = Annotated[str, AfterValidator(_time)]


class Held(_Part):
    """The pause of a job: why, and until when if it ends by itself."""

    reason: str | None = None
    until: _Time | None = None


class JobLine(_Part):
    """What a line says. `fires_from` is the fire time that a schedule waits for."""

    product: str = Field(pattern=_SEGMENT)
    job_group: str = Field(pattern=_SEGMENT)
    id: UUID
    job_request: dict[str, Any]
    fires_from: _Time | None = None
    pause: Held | None = None

    @property
    def ref(self) -> JobRef:
        """The name of the job."""
        return JobRef(self.product, self.job_group, str(self.id))

    def text(self) -> str:
        """Write the line."""
        return json.dumps(
            self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"job_request"})
            | {
                "jobRequest": self.job_request  # whose null members say something
            }
        )


def line_of(job: Job, client: Client) -> JobLine | None:
    """Return the line of a job; `None` if all that is left of it is the run under way.

    What a list does not tell is asked for: whether jobs that it waits for are over, and the fire time of a run that
    begins later than that.
    """
    if job.next_run is None:
        return None
    own = {name: value for name, value in job.request.items() if name not in _PLAN}
    held = next((pause for pause in job.paused_by if pause.level == "job"), None)
    options = _options(job, client) | ({} if held is None else {"paused": True})
    plan = {"schedule": dict(job.schedule)} if job.schedule else {"when": format_time(job.next_run)}
    return JobLine(
        product=job.product,
        job_group=job.job_group,
        id=UUID(job.id),
        job_request={**own, **plan, **({"options": options} if options else {})},
        fires_from=_fire_time(job, client) if job.schedule else None,
        pause=None if held is None else Held(reason=held.reason, until=_written(held.until)),
    )


def _options(job: Job, client: Client) -> dict[str, Any]:
    options = {name: value for name, value in job.options.items() if name not in {"paused", "after"}}
    after = [each for each in job.options.get("after") or () if not _has_succeeded(job.product, each, client)]
    return options | ({"after": after} if after else {})


def _has_succeeded(product: str, job_id: str, client: Client) -> bool:
    """Tell whether a job that is waited for is over and went well: then nothing waits for it any more."""
    over = client.jobs(product, q=job_id, state="done", fields=["id", "state", "outcome"])
    return any(job.id == job_id and job.outcome == "succeeded" for job in over)


def _fire_time(job: Job, client: Client) -> str | None:
    """Return the fire time that a job with a schedule waits for, which may be earlier than its next run."""
    last = job.last_run
    if job.state != "running" and job.attempt and last is not None and last.scheduled_fire_time is not None:
        return format_time(last.scheduled_fire_time)  # it is tried again, or was put off
    found = job.next_run
    if job.state != "running" and _PUT_OFF & (job.schedule or {}).keys():
        ahead = client.preview(job, starts=1).fire_times
        found = (ahead[0].utc if ahead else None) or found
    return _written(found)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def read_line(text: bytes) -> JobLine:
    """Read a line. Raises `ValueError`; with pydantic's `ValidationError` it has all that is wrong."""
    return JobLine.model_validate(_object(text))


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("a JSON object is needed")  # noqa: TRY004 - it is about what was read
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
