"""The judge of cuts finds each call that was done twice, not at all or answered in two ways, and no other."""

import json
from typing import Any

import pytest

from prove.scenarios.cuts import Deed, Got, uneven, unlike

BODY = {"id": "a", "state": "scheduled"}
FRESH = {"content-type": "application/json", "etag": '"1"', "date": "now", "x-request-id": "1"}
REPLAYED = {**FRESH, "date": "then", "x-request-id": "2", "idempotency-replayed": "true"}


def got(status: int = 201, body: Any = BODY, **headers: str) -> Got:
    """Return a first answer."""
    return Got(status, {**FRESH, **headers}, json.dumps(body).encode())


def again(body: Any = BODY, **headers: str) -> Got:
    """Return one that came again."""
    return Got(201, {**REPLAYED, **headers}, json.dumps(body).encode())


def deed(answer: Got | None = None, replay: Got | None = None, *pieces: bytes, asked: int = 1) -> Deed:
    """Return a call."""
    return Deed("t1", asked, pieces, answer or got(), replay or again())


BATCH = got(body={"created": 2, "ids": ["a", "b"]})


@pytest.mark.parametrize(
    ("call", "there", "found"),
    [
        (deed(), ["a"], 0),
        (deed(BATCH, asked=2), ["b", "a"], 0),
        (deed(), [], 1),
        (deed(), ["a", "b"], 1),
        (deed(), ["b"], 1),
        (deed(BATCH, asked=2), ["a"], 1),
        (deed(BATCH, asked=2), ["a", "b", "c", "d"], 1),
        (deed(got(422, {"id": "JOB_CREATION_ERROR"})), ["a"], 1),
    ],
)
def test_done_once(call: Deed, there: list[str], found: int) -> None:
    """What is there is what was asked for, and what the client was told of."""
    assert found == len([*uneven([call], {"t1": there, "t2": ["c"]})])


HEAD = b"HTTP/1.1 201 Created\r\nETag: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (deed(), 0),
        (deed(again()), 0),
        (deed(None, again({**BODY, "state": "running"})), 1),
        (deed(None, again(etag='"2"')), 1),
        (deed(None, got()), 1),
        (deed(None, None, HEAD + b'{"id": "a"'), 0),
        (deed(None, None, HEAD + b'{"id": "b"'), 1),
        (deed(None, None, b"HTTP/1.1 201 Crea", b""), 0),
        (deed(None, None, b"HTTP/1.1 409 Conflict\r\n\r\n{}"), 0),
    ],
)
def test_answered_the_same(call: Deed, found: int) -> None:
    """The answer that comes again is the first one, as far as that had come, but for what belongs to each answer."""
    assert found == len([*unlike([call])])
