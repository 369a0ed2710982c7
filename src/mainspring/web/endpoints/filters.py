"""The filters that several lists share: parameters of a query, and the labels that they mean."""

from __future__ import annotations

from mainspring.job import (
    Outcome,
    Scope,
    concurrency_label,
    field_label,
    is_key,
    is_tag,
    key_label,
    tag_label,
)
from mainspring.web.endpoint import Call
from mainspring.web.query import Parameter, ParameterError, Query, text


def _read_outcomes(texts: list[str]) -> frozenset[Outcome]:
    names = [name for text in texts for name in text.split(",")]
    if not _OUTCOMES.issuperset(names):
        raise ParameterError("OUTCOME_INVALID", f"must be of {', '.join(Outcome)}")
    return frozenset(map(Outcome, names))


def read_tags(texts: list[str]) -> frozenset[str]:
    """Read tags; what can be none is refused, as no store could look for all of it. Raises `ParameterError`."""
    if not all(map(is_tag, texts)):
        raise ParameterError("TAG_INVALID", "must have 1 to 100 characters, without commas and control characters")
    return frozenset(texts)


def _read_key(texts: list[str]) -> str:
    if not is_key(texts[-1]):
        raise ParameterError("KEY_INVALID", "must be a key: 1 to 200 characters, without control characters")
    return texts[-1]


def _read_prefix(texts: list[str]) -> str:
    prefix = texts[-1]
    if not (0 < len(prefix) <= _LONGEST_PREFIX and prefix.isprintable()):
        raise ParameterError("PREFIX_INVALID", f"must have 1 to {_LONGEST_PREFIX} characters, none for control")
    return prefix


def labels_asked(query: Query, call: Call, scope: Scope) -> frozenset[str]:
    """Return the labels that jobs must have; what is wrong is noted in the query."""
    key, concurrency_key = query.get(KEY), query.get(CONCURRENCY_KEY)
    labels = [
        *map(tag_label, query.get(TAG) or ()),
        *([key_label(key)] if key else []),
        *([concurrency_label(concurrency_key)] if concurrency_key else []),
        *_field_labels(query, call, scope),
    ]
    return frozenset(labels)


def _field_labels(query: Query, call: Call, scope: Scope) -> list[str]:
    """Return the labels of fields of requests that are asked for; each must be searchable in some group."""
    searchable = call.services.jobs.searchable(scope)
    labels = []
    for name, value in query.fields(FIELD).items():
        if name not in searchable:
            known = f"; those are {', '.join(sorted(searchable))}" if searchable else ""
            detail = f"is no field by which jobs can be found{known}"
            query.add(f"request.{name[:64]}", "FIELD_NOT_SEARCHABLE", detail)
        elif (label := field_label(name, value)) is None:
            query.add(f"request.{name}", "VALUE_TOO_LONG", "is longer than any value by which jobs can be found")
        else:
            labels.append(label)
    return labels


# --- parameters

_OUTCOMES = frozenset(Outcome)
OUTCOME = Parameter(
    "outcome",
    {"type": "array", "items": {"type": "string", "enum": [outcome.value for outcome in Outcome]}},
    _read_outcomes,
    "Only those whose last run ended so, done ones too.",
)
TAG = Parameter(
    "tag",
    {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"^[^\x00-\x1f\x7f,]+$"},
    },
    read_tags,
    "Only jobs that have this tag; given more than once, all of these.",
)
_TEXT = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^\x00-\x1f\x7f]+$"}
KEY = Parameter("key", _TEXT, _read_key, "Only jobs with this key.")
CONCURRENCY_KEY = Parameter("concurrencyKey", _TEXT, _read_key, "Only jobs with this concurrency key.")
FIELD = Parameter(
    "request.*",
    {"type": "string"},
    lambda texts: texts[-1],
    "Such as `request.vmId`: only jobs with this value in the field. The job class says by which fields.",
)
_LONGEST_PREFIX = 200
PREFIX = Parameter(
    "q",
    {"type": "string", "minLength": 1, "maxLength": _LONGEST_PREFIX},
    _read_prefix,
    "How an id, a key or a tag begins.",
)
NODE = text("node", "Only what runs, or ran, on this node.", minLength=1, maxLength=100)
