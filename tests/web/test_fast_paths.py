"""The quick looks at a body beside the walk that they spare: they never let pass what the walk refuses."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainspring.errors import MainspringError
from mainspring.web import body
from mainspring.web.outline import DEPTH_LIMIT

SOME = settings(max_examples=300, deadline=None)

texts = st.sampled_from(["", "a", ",", "{", "[", "]", "\\", "\\u", '"', "\0", "\x1f", "é", "😀", "\ud800", "\udfff"])
scalars = st.none() | st.booleans() | st.integers(-9, 9) | texts
small = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=9
)


def nested(levels: int, inner: Any) -> Any:
    """Return a value within so many arrays and objects in turn."""
    for level in range(levels):
        inner = [inner] if level % 2 else {"a": inner}
    return inner


def wide(members: int, last: Any) -> Any:
    """Return an object of an array with so many members and elements in all."""
    return {"a": [*[0] * (members - 2), last]}


values = (
    small
    | st.builds(nested, st.integers(DEPTH_LIMIT - 3, DEPTH_LIMIT + 3), small)
    | st.builds(wide, st.integers(body.MEMBER_LIMIT - 5, body.MEMBER_LIMIT + 3), small)
    | st.dictionaries(texts, small, max_size=4)
    | st.integers(body.MEMBER_LIMIT - 2, body.MEMBER_LIMIT + 2).map(lambda n: {str(k): 0 for k in range(n)})
)


def written(value: Any, *, escaped: bool) -> bytes:
    """Return a value as JSON, with or without escapes for what is not ASCII; half a pair can only be an escape."""
    text = json.dumps(value, ensure_ascii=escaped)
    return text.encode(errors="backslashreplace")


bodies = st.builds(written, values, escaped=st.booleans())


def outcome(read: Callable[[bytes], Any], data: bytes) -> tuple[str, Any]:
    """Return what comes of reading these bytes: a value, or the words of a refusal with its problems."""
    try:
        return "value", read(data)
    except MainspringError as error:
        return str(error), error.problems


def walked(data: bytes) -> Any:
    """Read one value as `parse_json` does, but always with the walk."""
    value = body.parse(data)
    body.check(value)
    return value


@SOME
@given(bodies)
@example(written(nested(DEPTH_LIMIT, 0), escaped=False))
@example(written(nested(DEPTH_LIMIT + 1, 0), escaped=False))
@example(written(wide(body.MEMBER_LIMIT, 0), escaped=False))
@example(written(wide(body.MEMBER_LIMIT + 1, 0), escaped=False))
def test_plain_body_is_one_in_which_the_walk_finds_nothing(data: bytes) -> None:
    """With or without the quick look, the same value or the same refusal."""
    assert outcome(walked, data) == outcome(body.parse_json, data)
    if body.is_plain(data):
        body.check(body.parse(data))


@SOME
@given(items=st.lists(values, max_size=4), escaped=st.booleans())
@example(items=[wide(body.MEMBER_LIMIT + 1, 0)], escaped=False)
@example(items=[{str(n): n for n in range(body.MEMBER_LIMIT + 1)}], escaped=False)
@example(items=[{"a": "\0"}], escaped=True)
@example(items=[{"{": "["}, [[]]], escaped=False)
def test_flat_batch_is_one_in_which_the_walk_finds_nothing(*, items: list[Any], escaped: bool) -> None:
    """An array says the same as its objects one by one."""
    data = written(items, escaped=escaped)

    read = outcome(whole(body.parse_array), data)
    one_by_one = outcome(whole(body.parse_lines), b"\n".join(written(item, escaped=escaped) for item in items))

    assert one_by_one == read
    parsed = json.loads(data)
    if body.is_flat(data, parsed):
        for value in parsed:
            body.check(value)


def whole(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return what reads all pieces of a batch."""
    return lambda data: [value for _, values in parse(data) for value in values]


@SOME
@given(
    items=st.lists(st.dictionaries(texts, small, max_size=3), max_size=9),
    space=st.sampled_from(["", " ", "\n\t\r "]),
    piece=st.integers(1, 4),
)
def test_pieces_of_a_batch_hold_what_the_whole_does(*, items: list[Any], space: str, piece: int) -> None:
    """Also when they are parsed again."""
    texts = [json.dumps(item) for item in items]
    data = f"{space}[{space}{f'{space},{space}'.join(texts)}{space}]{space}".encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "PIECE", piece)
        read = outcome(lambda data: [*body.parse_array(data)], data)

    if read[0] == "value":
        again = body.Bodies([text for text, _ in read[1]], len(items))
        assert json.loads(data) == [*again] == [value for _, values in read[1] for value in values]
        assert len(items) == len(again)
        assert all(len(values) <= piece for _, values in read[1])


@SOME
@given(
    items=st.lists(small, max_size=4),
    place=st.integers(0, 99),
    sign=st.sampled_from(["", "[", "]", ",", "{", "}", '"', "1", " ", "x"]),
)
@example(items=[1], place=2, sign=",")
@example(items=[], place=99, sign="[]")
def test_what_is_no_array_of_json_is_refused_piece_by_piece_too(*, items: list[Any], place: int, sign: str) -> None:
    """Just what is no JSON as a whole."""
    text = json.dumps(items)
    data = (text[:place] + sign + text[place + 1 :]).encode()

    is_json = outcome(body.parse, data)[0] == "value"
    read = outcome(whole(body.parse_array), data)[0]

    assert is_json != ("not JSON" in read)


@pytest.mark.parametrize("data", [b'{"when": "2026-12-01T10:00:00Z", "vmId": "x"}', b"{}", b'{"a": {"b": [1, 2]}}'])
def test_ordinary_body_is_plain(data: bytes) -> None:
    """The quick look is of use."""
    assert body.is_plain(data)
    assert body.is_flat(b"[%b]" % data, [json.loads(data)]) == (data.count(b"{") == 1)
