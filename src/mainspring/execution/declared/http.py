"""The job classes of HTTP jobs: a call out of the request, and an ending out of the answer."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import version
from typing import Any, ClassVar

import httpx2
from pydantic_core import to_json

from mainspring import logs
from mainspring.clock import Clock
from mainspring.declared import (
    AllowedTargets,
    HttpJob,
    Secret,
    TargetError,
    filled_in,
    own_fields,
    read_target,
)
from mainspring.errors import ConfigError
from mainspring.execution.declared.call import REDIRECTS, Answer, Caller, CallError, Message, OverdueError
from mainspring.execution.declared.resolver import Resolver
from mainspring.execution.declared.secrets import keys_of
from mainspring.execution.declared.signature import signature
from mainspring.execution.endings import RESULT_BYTES
from mainspring.job import LONGEST_KEY, Ending, JobRequest, Outcome
from mainspring.plugins import Busy, Cancel, JobExecutionContext, Retry, SchedulerJob, Signal

SPARE = timedelta(seconds=5)
"""How much later than its own deadline a call is cancelled from outside."""
LONGEST_WAIT = timedelta(days=1)
"""The longest wait that a target may ask for."""
SHORTEST_WAIT = timedelta(seconds=1)
KEPT_HEADERS = (
    "content-type", "content-length", "date", "etag", "last-modified", "location", "request-id", "retry-after",
    "traceparent", "x-correlation-id", "x-request-id",
)  # fmt: skip
"""The headers of an answer that are kept with the result; others may be secret, such as cookies."""
_LONGEST_HEADER = 1000
_LOGGED = 1000
"""Characters of the body of an answer that are kept in the log of the run."""


class Outside:
    """What calls of all groups share: names, certificates and secrets."""

    def __init__(
        self,
        secrets: Mapping[str, Secret],
        resolver: Resolver | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.secrets = secrets
        self.resolver = resolver or Resolver()
        self.context = context or ssl.create_default_context()


def outside_of(secrets: Mapping[str, Secret]) -> Any:
    """Return what makes the service, and cleans it up."""

    def make() -> Iterator[Outside]:
        outside = Outside(secrets)
        yield outside
        outside.resolver.close()

    return make


class HttpCallJob(SchedulerJob):
    """Calls what its group declares."""

    declared: ClassVar[HttpJob]
    allowed: ClassVar[AllowedTargets]

    request: JobRequest

    def __init__(self, outside: Outside, clock: Clock) -> None:
        self._outside = outside
        self._clock = clock

    async def execute(self, context: JobExecutionContext) -> Any:
        """Make the call; what the target answers decides how the run ends."""
        fields = own_fields(self.request)
        declared = self.declared
        try:
            target = read_target(declared.url_of(fields))
            message = self._message(fields, context)
            caller = Caller(self._outside.resolver, self._outside.context, self.allowed)
            answer = await caller.call(
                target, message, seconds=declared.time_limit.total_seconds(), redirects=declared.allow_redirects
            )
        except OverdueError as error:
            raise Signal(Ending(Outcome.TIMED_OUT, str(error))) from None
        except (CallError, ConfigError) as error:
            raise Retry(reason=str(error)) from None
        except TargetError as error:
            raise Retry(reason=f"ssrf-blocked: the URL {error}") from None
        _keep(answer)
        if declared.is_success(answer.status):
            return result_of(answer)
        raise self._refusal(answer)

    def _message(self, fields: Mapping[str, Any], context: JobExecutionContext) -> Message:
        """Put together what is sent. Raises `ConfigError` if it cannot be signed."""
        declared, occurrence = self.declared, str(context.occurrence_id)
        body, content_type = _body(declared, fields)
        timestamp = int(self._clock.now().timestamp())
        own = {name.lower(): value for name, value in declared.headers.items()}
        if declared.secret is not None:
            keys = keys_of(declared.secret, self._outside.secrets[declared.secret])
            own["webhook-signature"] = signature(keys, occurrence, timestamp, body or b"")
        headers = {
            "user-agent": our_name(),
            "accept": "*/*",
            "accept-encoding": "identity",
            "content-type": content_type,
            "idempotency-key": occurrence,
            "mainspring-run": str(context.run),
            "mainspring-attempt": str(context.attempt),
            "webhook-id": occurrence,
            "webhook-timestamp": str(timestamp),
        }
        return Message(declared.method, body, headers, own)

    def _refusal(self, answer: Answer) -> Signal:
        """Return how a run ends whose answer is no success."""
        said = f"the target answered {answer.status}"
        wait = wait_asked(answer.headers, self._clock.now())
        match answer.status:
            case 410:
                return Cancel(f"{said}: it is gone for good")
            case 429:
                return busy(said, wait)
            case 503 if wait is not None:
                return busy(said, wait)
            case 502 | 503 | 504:
                return Retry(wait, said)
            case status if status in REDIRECTS:
                most = self.declared.allow_redirects
                return Retry(reason=f"{said}: a redirect, of which {most or 'none'} may be followed")
            case _:
                return Retry(reason=said)


def wait_asked(headers: httpx2.Headers, now: datetime) -> timedelta | None:
    """Return how long a target asks to be left alone, by ``Retry-After``."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        wait = timedelta(seconds=min(int(text[:9]), LONGEST_WAIT.total_seconds()))
    else:
        try:
            until = parsedate_to_datetime(text)
        except ValueError:
            return None
        wait = until.replace(tzinfo=until.tzinfo or UTC) - now
    return min(max(wait, SHORTEST_WAIT), LONGEST_WAIT)


class OpenHttpCallJob(HttpCallJob):
    """Calls where its request says."""

    @classmethod
    def concurrency_key(cls, request: Any) -> str | None:
        """Return what is busy if the call is refused: the host."""
        try:
            return _key_of(read_target(own_fields(request)["url"]).host)
        except TargetError:
            return None


def _key_of(host: str) -> str:
    """All groups of a product that call a host leave it alone while it is busy."""
    return f"host:{host}"[:LONGEST_KEY]


@cache
def our_name() -> str:
    """Return what targets read as who calls; looked up once, as that reads a file."""
    return f"Mainspring/{version('mainspring')}"


def http_job_class(declared: HttpJob, allowed_targets: Sequence[str]) -> type[SchedulerJob]:
    """Make the job class of a group of HTTP jobs."""
    allowed = AllowedTargets(allowed_targets)
    place = declared.place
    attributes = {
        "__doc__": f"{declared.method} {declared.url or 'the URL of the request'}.",
        "product": declared.product,
        "job_group": declared.job_group,
        "declared": declared,
        "allowed": allowed,
        "Request": declared.request_model(allowed.check),
        "timeout": declared.time_limit + SPARE,
        "max_attempts": declared.max_attempts,
    }
    if place is None:
        return type("HttpCallJob", (OpenHttpCallJob,), attributes)
    return type("HttpCallJob", (HttpCallJob,), {**attributes, "concurrency_key": _key_of(place.host)})


def _body(declared: HttpJob, fields: Mapping[str, Any]) -> tuple[bytes | None, str]:
    """Return the body of a call and its content type."""
    if not declared.has_body:
        return None, ""
    if isinstance(declared.body, str):
        value = filled_in(declared.body, fields)
        if isinstance(value, str):
            return value.encode(errors="replace"), "text/plain; charset=utf-8"
    else:
        value = dict(fields) if declared.body is None else filled_in(declared.body, fields)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace"), "application/json"


def busy(said: str, wait: timedelta | None) -> Signal:
    """Return how a run ends whose target is to be left alone for a while."""
    signal = Busy() if wait is None else Busy(retry_after=wait)
    signal.ending = signal.ending._replace(reason=f"busy: {said}")
    return signal


def _text(answer: Answer) -> str:
    """Return the body of an answer as text that can be kept."""
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        return ""  # it was not asked for, and may be a bomb
    return answer.body.decode(errors="replace").replace("\0", "\ufffd")


def _keep(answer: Answer) -> None:
    """Keep an answer in the log of the run, as one line."""
    if (keep := logs.kept_by.get()) is not None:
        keep(f"answer: {answer.status} {json.dumps(_text(answer)[:_LOGGED], ensure_ascii=False)}")


def result_of(answer: Answer) -> dict[str, Any]:
    """Return what is kept of an answer: as much as the result of a run may have."""
    headers = {name: answer.headers[name][:_LONGEST_HEADER] for name in KEPT_HEADERS if name in answer.headers}
    text = _text(answer)

    def result(length: int) -> dict[str, Any]:
        is_cut = answer.is_cut or length < len(text)
        return {"status": answer.status, "headers": headers, "body": text[:length], "truncated": is_cut}

    least, most = 0, len(text)
    if len(to_json(result(most))) <= RESULT_BYTES:
        return result(most)
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if len(to_json(result(middle))) <= RESULT_BYTES else (least, middle - 1)
    return result(least)
