"""A webhook: who hears of which events, as ``[[webhooks]]`` of the settings or a call of the API says it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from mainspring.declared.http_job import SEGMENT, lasting
from mainspring.declared.refusals import Refusal, refusal
from mainspring.declared.secret import SECRET_NAME
from mainspring.declared.targets import AllowedTargets, TargetError, read_target
from mainspring.job import (
    LONGEST_KEY,
    EventFilter,
    EventKind,
    Outcome,
    Scope,
    State,
    concurrency_label,
    field_label,
    is_key,
    is_tag,
    key_label,
    tag_label,
)
from mainspring.schedule import Duration

WEBHOOK_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
MOST_NAMED = 50
"""How many types, tags, states, outcomes or fields a filter names at most."""
_LONGEST_NODE = 100
_LONGEST_REASON = 500

_FORM = ConfigDict(
    extra="forbid",
    frozen=True,
    hide_input_in_errors=True,
    alias_generator=to_camel,
    validate_by_name=True,
    validate_by_alias=False,
)
"""In settings names are as in Python; on the wire they are those of JSON."""


def _check_tag(tag: str) -> str:
    if not is_tag(tag):
        raise ValueError("must have 1 to 100 characters, without commas and control characters")
    return tag


def _check_key(key: str) -> str:
    if not is_key(key):
        raise ValueError(f"must be a key: 1 to {LONGEST_KEY} characters, without control characters")
    return key


def _check_text(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must have no line breaks or other control characters")
    return text


def _check_number(named: Collection[str]) -> Collection[str]:
    """Check how many are named; a limit of pydantic would also count those that are wrong, as none."""
    if not 0 < len(named) <= MOST_NAMED:
        raise ValueError(f"must name 1 to {MOST_NAMED}")
    return named


def _check_fields(fields: Mapping[str, str]) -> Mapping[str, str]:
    found = [
        Refusal((name,), "VALUE_TOO_LONG", "is longer than any value by which jobs can be found")
        for name, value in fields.items()
        if field_label(name, value) is None
    ]
    if found:
        raise refusal("request", found)
    return fields


_Key = Annotated[str, AfterValidator(_check_key)]
_MANY = AfterValidator(_check_number)


class EventChoice(BaseModel):
    """Which events a webhook hears of: those that pass all that is said; without a word all of them."""

    model_config: ClassVar[ConfigDict] = _FORM

    product: Annotated[str, Field(pattern=SEGMENT)] | None = None
    job_group: Annotated[str, Field(pattern=SEGMENT)] | None = None
    type: Annotated[tuple[EventKind, ...], _MANY] | None = None
    state: Annotated[tuple[State, ...], _MANY] | None = None
    outcome: Annotated[tuple[Outcome, ...], _MANY] | None = None
    tag: Annotated[tuple[Annotated[str, AfterValidator(_check_tag)], ...], _MANY] | None = None
    key: _Key | None = None
    concurrency_key: _Key | None = None
    node: Annotated[str, Field(min_length=1, max_length=_LONGEST_NODE), AfterValidator(_check_text)] | None = None
    request: Annotated[Mapping[str, str], _MANY, AfterValidator(_check_fields)] | None = None

    @model_validator(mode="after")
    def _names_its_product(self) -> Self:
        if self.job_group is not None and self.product is None:
            raise refusal("filter", [Refusal(("product",), "REQD_FIELD_MISSING", "is required beside a job group")])
        return self

    @property
    def scope(self) -> Scope:
        """The group, the product or everything whose events are meant."""
        return Scope(self.product or "", self.job_group or "")

    def filter(self) -> EventFilter:
        """Return it as the feed of events knows filters."""
        return EventFilter(
            self.scope,
            self.type and frozenset(self.type),
            self.state and frozenset(self.state),
            self.outcome and frozenset(self.outcome),
            self.node,
            frozenset(self._labels()),
        )

    def _labels(self) -> Iterator[str]:
        yield from map(tag_label, self.tag or ())
        if self.key is not None:
            yield key_label(self.key)
        if self.concurrency_key is not None:
            yield concurrency_label(self.concurrency_key)
        for name, value in (self.request or {}).items():
            if (label := field_label(name, value)) is not None:
                yield label


def _check_url(url: str) -> str:
    try:
        read_target(url)
    except TargetError as error:
        raise refusal("url", [Refusal((), error.code, f"{error} ({error.code})")]) from None
    return url


class Webhook(BaseModel):
    """Whom to call, of which events, and how.

    `secret` names the secret that calls are signed with. While it `is_paused` no calls are made, and its events wait.
    """

    model_config: ClassVar[ConfigDict] = _FORM

    name: Annotated[str, Field(pattern=f"^{WEBHOOK_NAME}$")]
    url: Annotated[str, AfterValidator(_check_url)]
    filter: EventChoice = EventChoice()
    secret: Annotated[str, Field(pattern=f"^{SECRET_NAME}$")] | None = None
    time_limit: Annotated[Duration, lasting("PT0.1S", "PT1M")] = timedelta(seconds=15)
    is_paused: Annotated[bool, Field(strict=True)] = False
    reason: Annotated[str, Field(min_length=1, max_length=_LONGEST_REASON), AfterValidator(_check_text)] | None = None
    """Why it is paused."""


def webhook_from_json(body: Mapping[str, Any]) -> Webhook:
    """Read a webhook as on the wire. Raises `pydantic.ValidationError`."""
    return Webhook.model_validate(body, by_alias=True, by_name=False)


def webhook_to_json(webhook: Webhook) -> dict[str, Any]:
    """Write a webhook as on the wire; of its filter only what it says."""
    data = webhook.model_dump(mode="json", by_alias=True)
    data["filter"] = {name: value for name, value in data["filter"].items() if value is not None}
    return data


class Reach(NamedTuple):
    """What webhooks may use: the names of the secrets that there are, and the targets that are allowed."""

    secrets: Collection[str] = ()
    allowed: AllowedTargets = AllowedTargets()

    def problems(self, webhook: Webhook) -> Iterator[Refusal]:
        """Find what a webhook names that it may not use, each at its place as on the wire."""
        if webhook.secret is not None and webhook.secret not in self.secrets:
            yield Refusal(("secret",), "SECRET_UNKNOWN", f"is {webhook.secret}, which [secrets] does not have")
        try:
            self.allowed.check(read_target(webhook.url))
        except TargetError as error:
            yield Refusal(("url",), error.code, f"{error}; allowed_targets.mainspring can allow it")
