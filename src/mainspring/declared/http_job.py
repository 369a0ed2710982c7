"""A job group whose jobs are calls by HTTP, as ``[[http_jobs]]`` of the settings declares it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from mainspring.declared.fields import check_schema, request_model
from mainspring.declared.refusals import Refusal, refusal
from mainspring.declared.secret import SECRET_NAME
from mainspring.declared.targets import SCHEME, Target, TargetError, read_target
from mainspring.declared.templates import in_url, is_plain, placeholders, placeholders_in
from mainspring.job import JobRequest
from mainspring.schedule import Duration, parse_duration

SEGMENT = r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$"
Segment = Annotated[str, Field(pattern=SEGMENT)]
_HEAD = re.compile(r"(?i)(https?://)?[^/?#]*")
"""What of a URL comes before its path."""
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE = re.compile(r"[\x20-\x7e]{0,1024}")
_OURS = re.compile(
    r"(?i)host|content-length|transfer-encoding|connection|upgrade|te|trailer|expect|accept-encoding|idempotency-key"
    r"|proxy-.*|webhook-.*|mainspring-.*"
)
"""The headers that Mainspring writes, or that would change what a call is."""


def _check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    found = []
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            found.append(Refusal((name,), "HEADER_NAME", "is no name of a header"))
        elif _OURS.fullmatch(name):
            found.append(Refusal((name,), "HEADER_TAKEN", "is a header that Mainspring itself writes"))
        elif not _VALUE.fullmatch(value):
            found.append(Refusal((name,), "HEADER_VALUE", "must be at most 1024 printable ASCII characters"))
    if found:
        raise refusal("headers", found)
    return headers


def lasting(least: str, most: str) -> AfterValidator:
    """Return a check of a length of time, which raises `ValueError`."""
    shortest, longest = parse_duration(least), parse_duration(most)

    def check(time: timedelta) -> timedelta:
        if not shortest <= time <= longest:
            raise ValueError(f"must be a length of time from {least} to {most}")
        return time

    return AfterValidator(check)


def _check_url(url: str) -> str:
    """Check the template of a URL by itself."""
    names = placeholders(url)
    head = _head(url)
    if "{" in head:
        raise refusal("url", [Refusal((), SCHEME, "must have its scheme, host and port without placeholders")])
    try:
        read_target(in_url(url, dict.fromkeys(names, "x")))
    except TargetError as error:
        raise refusal("url", [Refusal((), error.code, f"{error} ({error.code})")]) from None
    return url


class HttpJob(BaseModel):
    """What each job of a group calls, and how its answer is judged."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    product: Segment
    job_group: Segment
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "POST"
    url: Annotated[str, AfterValidator(_check_url)] | None = None
    """A template; `None` lets each request bring its own, in a field ``url``."""
    headers: Annotated[Mapping[str, str], AfterValidator(_check_headers)] = {}
    request: Annotated[Mapping[str, Any], AfterValidator(check_schema)] = {}
    body: Any = None
    """A template of JSON; `None` sends the fields of the request, where the method has a body."""
    time_limit: Annotated[Duration, lasting("PT0.1S", "PT1H")] = timedelta(seconds=30)
    success: tuple[Annotated[int, Field(ge=200, le=599)], ...] = ()
    """The statuses that are a success; none named is each from 200 to 299."""
    secret: Annotated[str, Field(pattern=f"^{SECRET_NAME}$")] | None = None
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    allow_redirects: Annotated[int, Field(ge=0, le=10)] = 0

    @property
    def place(self) -> Target | None:
        """Where the calls go, without path and query; `None` if each request says it."""
        return None if self.url is None else read_target(_head(self.url))

    @property
    def has_body(self) -> bool:
        """Whether calls have a body."""
        return self.body is not None or self.method in {"POST", "PUT", "PATCH"}

    def is_success(self, status: int) -> bool:
        """Tell whether a status is a success."""
        return status in self.success if self.success else 200 <= status < 300  # noqa: PLR2004 - they are their names

    def url_of(self, fields: Mapping[str, Any]) -> str:
        """Return the URL of a call, by the fields of its request."""
        return str(fields["url"]) if self.url is None else in_url(self.url, fields)

    def request_model(self, check_target: Any = None) -> type[JobRequest]:
        """Make the model of the requests. `check_target` raises `TargetError` for a `Target` that is not allowed."""
        schema: Mapping[str, Any] = self.request
        if self.url is None:
            own = {"type": "string", "examples": ["https://example.com/hook"]}
            schema = {
                **schema,
                "properties": {**schema.get("properties", {}), "url": own},
                "required": [*schema.get("required", ()), "url"],
            }

        def check(fields: Mapping[str, Any]) -> Iterator[Refusal]:
            if self.url is None:
                try:
                    target = read_target(fields["url"])
                    if check_target is not None:
                        check_target(target)
                except TargetError as error:
                    yield Refusal(("url",), error.code, str(error))
            else:
                yield from self._url_problems(self.url, fields)

        return request_model(f"{self.product} {self.job_group}", schema, check)

    def _url_problems(self, url: str, fields: Mapping[str, Any]) -> Iterator[Refusal]:
        """Find fields that cannot stand in the URL."""
        path, *_ = url.split("?")
        for name in dict.fromkeys(placeholders(url)):
            value = fields.get(name)
            if not is_plain(value):
                yield Refusal((name,), "HTTP_URL_FIELD", "must be text, a number, true or false: it stands in a URL")
            elif value in ("", None) and name in placeholders(path):
                yield Refusal((name,), "HTTP_URL_FIELD", "must not be empty: it stands in the path of a URL")
            elif isinstance(value, str) and _is_broken(value):
                yield Refusal((name,), "HTTP_URL_FIELD", "has half a character, which no URL can have")
        if all(is_plain(value) and not (isinstance(value, str) and _is_broken(value)) for value in fields.values()):
            try:
                read_target(in_url(url, fields))
            except TargetError as error:
                yield Refusal((), error.code, f"the URL of the call {error}")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        found = list(self._problems())
        if found:
            raise refusal("http_jobs", found)
        return self

    def _problems(self) -> Iterator[Refusal]:
        properties = self.request.get("properties", {})
        try:
            unknown = [name for name in placeholders_in(self.body) if name not in properties]
        except ValueError as error:
            yield Refusal(("body",), "HTTP_TEMPLATE", str(error))
        else:
            yield from (_unknown("body", name) for name in unknown)
        if self.body is not None and self.method in {"GET", "HEAD"}:
            yield Refusal(("body",), "HTTP_BODY", f"cannot be used with {self.method}")
        if self.url is None:
            for name in ("secret", "headers"):
                if getattr(self, name):
                    yield Refusal((name,), "HTTP_URL_MISSING", "needs url: it must not go wherever a request says")
            if "url" in properties:
                yield Refusal(("request", "properties", "url"), "HTTP_URL_MISSING", "is added where url is missing")
            return
        yield from _template_problems(self.url, properties, self.request.get("required", ()))


def _is_broken(text: str) -> bool:
    """Tell whether a text has half a surrogate pair."""
    return text.encode(errors="replace") != text.encode(errors="surrogatepass")


def _head(url: str) -> str:
    found = _HEAD.match(url)
    return found[0] if found else ""


def _unknown(place: str, name: str) -> Refusal:
    return Refusal((place,), "HTTP_TEMPLATE", f"has {{{name[:64]}}}, which is no member of request.properties")


def _template_problems(url: str, properties: Any, required: Any) -> Iterator[Refusal]:
    """Find what is wrong with the placeholders of a URL."""
    path, *_ = url.split("?")
    in_path = placeholders(path)
    for name in dict.fromkeys(placeholders(url)):
        if name not in properties:
            yield _unknown("url", name)
        elif name in in_path and name not in required:
            yield Refusal(
                ("url",), "HTTP_TEMPLATE", f"has {{{name}}} in its path, which request.required does not name"
            )
