"""Labels: the words by which jobs are found: their tags, keys and concurrency keys, and fields of their requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import to_json

from mainspring.job.options import Options

LONGEST_VALUE = 200
"""Characters of a value, as JSON, of which a label is made; a field with a longer value is not found by it."""


def tag_label(tag: str) -> str:
    """Return the label of jobs with a tag."""
    return f"t:{tag}"


def key_label(key: str) -> str:
    """Return the label of the job with a key, and of those that had it before."""
    return f"k:{key}"


def concurrency_label(key: str) -> str:
    """Return the label of jobs with a concurrency key."""
    return f"c:{key}"


def field_label(name: str, value: Any) -> str | None:
    """Return the label of jobs whose requests have a value in a field, by its name on the wire; `None` if too long.

    A text stands for itself, anything else for its JSON: so ``5`` is found by ``5``, as a number or as a text.
    """
    text = value if isinstance(value, str) else to_json(value).decode()
    return f"f:{name}={text}" if len(text) <= LONGEST_VALUE and "\0" not in text else None


def labels_of(
    options: Options, concurrency_key: str | None, request: Mapping[str, Any], searchable: Iterable[str]
) -> tuple[str, ...]:
    """Return the labels of a job; `searchable` are fields of its request by their names on the wire."""
    if options.tags is None and options.key is None and concurrency_key is None and not searchable:
        return ()  # most jobs have none: looking for each kind took 0.6 us
    fields = (field_label(name, request[name]) for name in searchable if request.get(name) is not None)
    labels = [
        *map(tag_label, options.tags or ()),
        *([key_label(options.key)] if options.key else []),
        *([concurrency_label(concurrency_key)] if concurrency_key else []),
        *(label for label in fields if label is not None),
    ]
    return tuple(dict.fromkeys(labels))
