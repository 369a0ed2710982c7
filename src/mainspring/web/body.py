"""Bodies, read strictly: what is JSON and no more, in bounds, and such that every store can keep it.

Whatever a body says is decided elsewhere; here is only whether it is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json
from starlette.requests import Request

from mainspring.errors import InvalidRequestError, Problem
from mainspring.web.memory import Memory
from mainspring.web.outline import BATCH_JOBS, DEPTH_LIMIT, Outline
from mainspring.web.problem import HttpError

BODY_LIMIT = 256 * 1024
BATCH_LIMIT = 64 * 1024 * 1024
MEMBER_LIMIT = 1000
PIECE = 256
"""How many objects of a batch are parsed at a time: that is 1 to 2 ms."""
LARGE = 10_000
"""A batch with more members than this is parsed and written when no other such is."""
MEMBER_BYTES = 100
"""How much memory a member of a parsed batch takes, about: an object of one member takes 184 bytes and counts twice."""

_JSON = b"application/json"
"""As nearly all clients write it."""
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
_JSON_LIKE = re.compile(r"application/(?!json-patch\+)[\w.-]+\+json", re.ASCII)
_CHARSET = re.compile(r'(?:^|;)\s*charset\s*=\s*"?([^\s";]*)', re.IGNORECASE)
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
_PATCHES = "application/merge-patch+json, application/json"
_TOGETHER = 100
_SPACE = re.compile(r"[ \t\n\r]+")

Headers = Mapping[bytes, bytes]


async def read_body(request: Request) -> dict[str, Any]:
    """Read the body as one JSON object, strictly: see `parse_json`.

    Raises for a wrong media type or a body that is too large.
    """
    headers: Headers = dict(request.scope["headers"])
    if headers.get(b"content-type") != _JSON and not _is_json(_media_type(request, headers)):
        raise _unsupported(request, "send the body as application/json")
    return _object(parse_json(await read_bytes(request, headers, BODY_LIMIT)))


async def read_options(request: Request) -> dict[str, Any]:
    """Read the body of a call that needs none: without one it is an empty object, else as `read_body` reads it.

    An empty body is none, whatever its type: clients name one with each call.
    """
    headers: Headers = dict(request.scope["headers"])
    media_type = _media_type(request, headers)
    data = await read_bytes(request, headers, BODY_LIMIT)
    if not data.strip():
        return {}
    if media_type and not _is_json(media_type):
        raise _unsupported(request, "send the body as application/json")
    return _object(parse_json(data))


class Bodies(Collection[dict[str, Any]]):
    """The objects of a large batch as pieces of JSON: to have them all in memory takes ten times as much."""

    def __init__(self, pieces: Sequence[bytes], number: int) -> None:
        self._pieces = pieces
        self._number = number

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (value for piece in self._pieces for value in from_json(piece))

    def __contains__(self, value: object) -> bool:
        return any(value == each for each in self)


class Batch(NamedTuple):
    """The body of a batch as it came, and how to parse it."""

    data: bytes | bytearray
    members: int
    """How many members and elements it has, about."""
    has_lines: bool

    @property
    def is_large(self) -> bool:
        """Whether it is to wait for its turn: several such at once took half a gigabyte, and all of one core."""
        return self.members > LARGE

    async def parse(self, breathe: Callable[[], Awaitable[None]]) -> Collection[dict[str, Any]]:
        """Return its objects. Raises for one that `read_body` would refuse.

        After each piece everybody else has a turn: 100,000 objects take a second to parse.
        """
        kept: list[bytes] = []
        parsed: list[dict[str, Any]] = []
        number = 0
        for piece, values in (parse_lines if self.has_lines else parse_array)(self.data):
            number += len(values)
            if self.is_large:
                kept.append(piece)
            else:
                parsed += values
            if len(values) == PIECE:
                await breathe()
        return Bodies(kept, number) if self.is_large else parsed


async def receive_batch(request: Request) -> Batch:
    """Receive the body as many JSON objects: one array, or a line each (NDJSON), by its media type.

    Raises for a wrong media type, or a body that is too large.
    """
    headers: Headers = dict(request.scope["headers"])
    media_type = _media_type(request, headers)
    has_lines = media_type in _NDJSON
    if not (has_lines or _is_json(media_type)):
        raise _unsupported(request, "send the body as application/json or application/x-ndjson")
    outline = Outline(lines=has_lines)
    data = await read_bytes(request, headers, BATCH_LIMIT, outline.read)
    state = request.scope["state"]
    state["memory"].take(state, outline.members * MEMBER_BYTES)
    return Batch(data, outline.members, has_lines)


def _media_type(request: Request, headers: Headers) -> str:
    """Return what the body is said to be. Through the headers of Starlette it took 1.2 us more."""
    media_type, _, parameters = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    if parameters and (charset := _CHARSET.search(parameters)) and charset[1].lower() not in _CHARSETS:
        raise _unsupported(request, "send the body in UTF-8")
    return media_type.strip().lower()


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or bool(_JSON_LIKE.fullmatch(media_type))


def _unsupported(request: Request, detail: str) -> HttpError:
    headers = {"Accept-Patch": _PATCHES} if request.method == "PATCH" else {}
    return HttpError(415, "UNSUPPORTED_MEDIA_TYPE", detail, headers)


async def read_bytes(
    request: Request, headers: Headers, limit: int, look_at: Callable[[bytes], None] | None = None
) -> bytearray:
    """Read the body, of which each part may be looked at when it comes. As a stream of Starlette's it took 2.5 us more.

    Nothing is read of one that is known to be too large, or not what it is said to be: a client that waits for leave to
    send it gets its answer at once.
    """
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        detail = "send the body as it is, without Content-Encoding"
        raise HttpError(415, "UNSUPPORTED_MEDIA_TYPE", detail, {"Accept-Encoding": "identity"})
    if int(headers.get(b"content-length", b"0")) > limit:
        raise _too_large(limit)
    state = request.scope["state"]
    memory: Memory = state["memory"]
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        if "refusal" in state:  # the connection found that the rest of it cannot be had
            raise state.pop("refusal")
        if message["type"] == "http.disconnect":
            raise _malformed("BODY_INCOMPLETE", "the body was cut off")
        part = message.get("body", b"")
        body += part
        if len(body) > limit:
            raise _too_large(limit)
        memory.take(state, len(part))
        if look_at is not None:
            look_at(part)
        more = message.get("more_body", False)
    return body


# --- one object, or many


def parse_json(data: bytes | bytearray) -> Any:
    """Parse JSON as RFC 8259 has it and no more: no NaN, no duplicate keys, nothing that a store could not keep.

    Raises `HttpError` for what is no JSON and `InvalidRequestError` for values out of bounds.
    """
    value = parse(data)
    if not is_plain(data):
        check(value)
    return value


Piece = tuple[bytes, list[dict[str, Any]]]
"""Some objects of a batch, as a JSON array and parsed."""


def parse_array(data: bytes | bytearray) -> Iterator[Piece]:
    """Parse an array of objects, piece by piece.

    Raises like `parse_json`; what is wrong with an object says which it is, from 0.
    """
    number = 0
    for piece, values in _pieces(_decoded(data)):
        if not is_flat(piece, values):
            for place, value in enumerate(values, number):
                _one_of_many(place, partial(_checked, value))
        if len(data) > BODY_LIMIT:
            _check_sizes(values, number)
        number += len(values)
        _not_too_many(number)
        yield piece, values


def parse_lines(data: bytes | bytearray) -> Iterator[Piece]:
    """Parse an object from each line that is not blank, piece by piece. Raises like `parse_array`."""
    lines = (line for line in data.split(b"\n") if line.strip())
    number = 0
    while some := [*islice(lines, PIECE)]:
        yield (
            b"[%b]" % b",".join(some),
            [_one_of_many(place, partial(_line, line)) for place, line in enumerate(some, number)],
        )
        number += len(some)
        _not_too_many(number)


def _line(line: bytes | bytearray) -> Any:
    if len(line) > BODY_LIMIT:
        raise _too_large(BODY_LIMIT)
    return parse_json(line)


def _check_sizes(values: Sequence[Any], first: int) -> None:
    """Refuse an object that is too large for a body of its own. One by one that took ten times as long as together."""
    for start in range(0, len(values), _TOGETHER):
        together = values[start : start + _TOGETHER]
        if len(to_json(together)) > BODY_LIMIT:
            for number, value in enumerate(together, first + start):
                if len(to_json(value)) > BODY_LIMIT:
                    detail = f"number {number} of the batch is larger than {BODY_LIMIT // 1024} KiB"
                    raise HttpError(413, "BODY_TOO_LARGE", detail)


def _not_too_many(number: int) -> None:
    if number > BATCH_JOBS:
        raise HttpError(413, "BATCH_TOO_LARGE", f"a batch has at most {BATCH_JOBS} jobs, this one has more")


def _one_of_many(number: int, read: Callable[[], Any]) -> dict[str, Any]:
    """Parse and check one object of a batch."""
    try:
        return _object(read())
    except HttpError as error:
        raise HttpError(error.status, error.id, f"number {number} of the batch: {error}") from error
    except InvalidRequestError as error:
        problems = [Problem(f"/{number}{fault.pointer}", fault.code, fault.detail) for fault in error.problems]
        raise InvalidRequestError(f"/{number}: {error}", problems=problems) from error


def _checked(value: Any) -> Any:
    check(value)
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid("BODY_NOT_OBJECT", "must be a JSON object")
    return value


# --- JSON


def parse(data: bytes | bytearray) -> Any:
    """Parse JSON; what its values may be is for `check`. Raises `HttpError`, and `InvalidRequestError` for numbers."""
    text = _decoded(data)
    try:
        return _DECODER.decode(text)
    except (RecursionError, ValueError) as error:
        raise _no_json(error) from error


def _decoded(data: bytes | bytearray) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _malformed("INVALID_ENCODING", "the body is not UTF-8") from error


def _no_json(error: Exception) -> HttpError:
    """Say what is wrong with what cannot be parsed."""
    if isinstance(error, RecursionError):
        return _malformed("JSON_TOO_DEEP", f"the body nests deeper than {DEPTH_LIMIT} levels")
    return _malformed("MALFORMED_JSON", f"the body is not JSON: {str(error)[:100]}")


def _pieces(text: str) -> Iterator[tuple[bytes, list[Any]]]:
    """Yield the elements of a JSON array, `PIECE` at a time, as an array that is written and as values."""
    values: list[Any] = []
    first = 0
    try:
        for value, start, end in _elements(text):
            first = first if values else start
            values.append(value)
            if len(values) == PIECE:
                yield f"[{text[first:end]}]".encode(), values
                values = []
    except (RecursionError, ValueError) as error:
        raise _no_json(error) from error
    if values:
        yield f"[{text[first:end]}]".encode(), values


def _elements(text: str) -> Iterator[tuple[Any, int, int]]:
    """Yield the elements of a JSON array, each with where it begins and ends."""
    place = _behind_space(text, 0)
    if text[place : place + 1] != "[":
        _DECODER.decode(text)
        raise _invalid("BODY_NOT_ARRAY", "must be a JSON array of objects")
    place = _behind_space(text, place + 1)
    sign = text[place : place + 1]
    while sign != "]":
        value, end = _DECODER.raw_decode(text, place)
        yield value, place, end
        place = _behind_space(text, end)
        sign = text[place : place + 1]
        if sign == ",":
            place = _behind_space(text, place + 1)
        elif sign != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
    if (rest := _behind_space(text, place + 1)) < len(text):
        raise json.JSONDecodeError("Extra data", text, rest)


def _behind_space(text: str, place: int) -> int:
    space = _SPACE.match(text, place)
    return space.end() if space else place


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name comes twice in one object")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > 1000:
        raise _invalid("NUMBER_RANGE", "has a number of more than 1000 digits")
    return int(digits)


def _number(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise _invalid("NUMBER_RANGE", "has a number beyond the range of a double")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer, parse_float=_number
)


def check(value: Any) -> None:
    """Walk a parsed value without recursion and refuse what is too deep, too wide, or text that no store keeps.

    `is_plain` and `is_flat` tell from less when there is nothing to be found.
    """
    waiting = [(value, 1)]
    members = 0
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, dict | list):
            if depth > DEPTH_LIMIT:
                raise _malformed("JSON_TOO_DEEP", f"the body nests deeper than {DEPTH_LIMIT} levels")
            members += len(item)
            if members > MEMBER_LIMIT:
                raise _invalid("TOO_MANY_MEMBERS", f"has more than {MEMBER_LIMIT} members and elements")
            if isinstance(item, dict):
                for name in item:
                    _check_text(name)
                item = item.values()
            waiting += [(inner, depth + 1) for inner in item]


def _check_text(text: str) -> None:
    if "\0" in text:
        raise _invalid("NUL_IN_STRING", "has text with a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _invalid("INVALID_UNICODE", "has text with half a surrogate pair")


def is_plain(data: bytes | bytearray) -> bool:
    """Tell from the bytes of a body whether `check` can find nothing; 0.8 us in place of 2.5 for a small one.

    There are at most as many members as commas and brackets, and what it refuses in text can only be an escape.
    """
    opened = data.count(b"{") + data.count(b"[")
    return opened <= DEPTH_LIMIT and opened + data.count(b",") <= MEMBER_LIMIT and b"\\u" not in data


def is_flat(data: bytes | bytearray, values: list[Any]) -> bool:
    """Tell whether these are small objects without containers in them, of which `check` can find nothing in any.

    That spares the walk, a tenth of the time of a batch.
    """
    return (
        b"\\u" not in data
        and data.count(b"{") + data.count(b"[") == len(values) + 1
        and all(isinstance(value, dict) and len(value) <= MEMBER_LIMIT for value in values)
    )


def _too_large(limit: int) -> HttpError:
    return HttpError(413, "BODY_TOO_LARGE", f"the body is larger than {limit // 1024} KiB")


def _malformed(code: str, detail: str) -> HttpError:
    return HttpError(400, code, detail)


def _invalid(code: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"the body {detail}", problems=[Problem("", code, detail)])
