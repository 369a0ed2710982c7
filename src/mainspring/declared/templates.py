"""Templates with fields of a request in braces: of URLs, and of bodies in JSON.

In a URL a field is written by simple expansion (RFC 6570): all but letters, digits and ``-._~`` becomes ``%XX``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def placeholders(template: str) -> list[str]:
    """Return the names in braces, in order. Raises `ValueError` for a brace without its twin, or an empty name."""
    names = _PLACEHOLDER.findall(template)
    if not all(names) or re.search("[{}]", _PLACEHOLDER.sub("", template)):
        raise ValueError("has a brace that is no placeholder such as {name}")
    return names


def placeholders_in(value: Any) -> Iterator[str]:
    """Return the names in braces of all text in a value of JSON. Raises `ValueError`."""
    match value:
        case str():
            yield from placeholders(value)
        case Mapping():
            for inner in value.values():
                yield from placeholders_in(inner)
        case list() | tuple():
            for inner in value:
                yield from placeholders_in(inner)
        case _:
            return


def in_url(template: str, fields: Mapping[str, Any]) -> str:
    """Put fields into the template of a URL; one that is absent or null leaves nothing."""
    return _PLACEHOLDER.sub(lambda found: quote(text_of(fields.get(found[1])), safe=""), template)


def filled_in(template: Any, fields: Mapping[str, Any]) -> Any:
    """Put fields into a template of JSON.

    A text that is one placeholder becomes the value of the field itself, and is left out of its object if the field is
    absent. Other text takes in the text of the fields.
    """
    match template:
        case str():
            if (whole := _PLACEHOLDER.fullmatch(template)) is not None:
                return fields.get(whole[1])
            return _PLACEHOLDER.sub(lambda found: text_of(fields.get(found[1])), template)
        case Mapping():
            return {name: filled_in(inner, fields) for name, inner in template.items() if not _is_absent(inner, fields)}
        case list() | tuple():
            return [filled_in(inner, fields) for inner in template]
        case _:
            return template


def _is_absent(template: Any, fields: Mapping[str, Any]) -> bool:
    whole = _PLACEHOLDER.fullmatch(template) if isinstance(template, str) else None
    return whole is not None and whole[1] not in fields


def is_plain(value: Any) -> bool:
    """Tell whether a value can stand in a URL: text, a number, true, false or null."""
    return value is None or isinstance(value, str | int | float)


def text_of(value: Any) -> str:
    """Write a value as text: itself if it is text, nothing for null, else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
