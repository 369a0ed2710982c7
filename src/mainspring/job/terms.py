"""Terms: what a job group asks of a new job that the schema of its requests does not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mainspring.job.options import PRIORITY

TERMS = "x-mainspring"
"""The member of a published schema that holds them."""


class Terms(NamedTuple):
    """What a process must know that makes jobs of a group without having its job class."""

    priority: int = PRIORITY
    concurrency_key: str | None = None
    """A template of it, such as ``"dc:{data_center}"``, where texts of the request fill it in as the class would."""
    keyed_by_code: bool = False
    """Whether only code of the class can say the concurrency key."""
    checked_by_code: bool = False
    """Whether code of the class checks requests, beyond what their schema says."""
    declared: bool = False
    """Whether settings declare the group: problems are those of JSON Schema."""
    searchable: tuple[str, ...] = ()
    """Fields by which jobs are found, by their names on the wire."""
    names: Mapping[str, str] = {}
    """The names of fields on the wire, by their names in Python."""


def terms_to_json(terms: Terms) -> dict[str, Any]:
    """Write terms as they are published."""
    return terms._asdict()


def terms_from_json(data: Mapping[str, Any]) -> Terms:
    """Read what `terms_to_json` wrote; what a later version has added is left out."""
    known = {name: value for name, value in data.items() if name in Terms._fields}
    return Terms(**known)._replace(searchable=tuple(known.get("searchable", ())))
