"""What is known of a batch while its bytes arrive, before any of it is parsed."""

import json
from collections.abc import Iterable
from itertools import count, pairwise, repeat

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from mainspring.web import memory
from mainspring.web.outline import BATCH_JOBS, BATCH_MEMBERS, DEPTH_LIMIT, Outline
from mainspring.web.problem import HttpError
from tests.web.answers import Refusal, at, refusal, refused
from tests.web.plugin import NOTES
from tests.web.raw import JSON, ask

LINES = ("content-type", "application/x-ndjson")
TOO_LARGE = refused(413, "BATCH_TOO_LARGE")
TOO_DEEP = refused(400, "JSON_TOO_DEEP")
PIECE = 64 * 1024

texts = st.text(st.sampled_from('[]{},"\\\n aé😀'), max_size=9)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=30,
)


def members_of(data: bytes) -> int:
    """Count, letter by letter, the commas and opening brackets that are outside of strings."""
    number, in_text, letters = 0, False, iter(data.decode())
    for letter in letters:
        if letter == '"':
            in_text = not in_text
        elif in_text and letter == "\\":
            next(letters)
        elif not in_text and letter in "[{,":
            number += 1
    return number


@settings(max_examples=300, deadline=None)
@given(value=values, escaped=st.booleans(), cuts=st.lists(st.integers(0, 200)))
def test_outline_counts_what_is_there(value: object, cuts: list[int], *, escaped: bool) -> None:
    """Wherever the bytes are cut, and whatever stands in strings."""
    data = json.dumps([value], ensure_ascii=escaped).encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    outline = Outline(lines=False)

    for start, end in pairwise(places):
        outline.read(data[start:end])

    assert members_of(data) == outline.members


def pieces(data: bytes, more: bytes) -> Iterable[bytes]:
    """Return bytes, and then others without an end, cut as they come from a network."""
    part = more * (PIECE // len(more) + 1)
    return (data if n == 0 else part for n in count())


@pytest.mark.parametrize(
    ("start", "more", "media_type", "expected", "most"),
    [
        pytest.param(b"[", b"{},", JSON, TOO_LARGE, BATCH_MEMBERS * 3 // 2, id="jobs"),
        pytest.param(b"", b"{}\n", LINES, TOO_LARGE, BATCH_MEMBERS * 3 // 2, id="lines"),
        pytest.param(b"[", b"[],", JSON, TOO_LARGE, BATCH_MEMBERS * 3 // 2, id="arrays"),
        pytest.param(b'[{"a":[', b"1,", JSON, TOO_LARGE, BATCH_MEMBERS * 2, id="numbers in one job"),
        pytest.param(
            b"[", b'{"a":{"b":[[],[],[],[],[],[],[],[],[],[],[]]}},', JSON, TOO_LARGE, 4_000_000, id="members"
        ),
        pytest.param(b"", b'{"a":[1,2,3,4,5,6,7,8,9,10,11]}\n', LINES, TOO_LARGE, 4_000_000, id="members of lines"),
        pytest.param(b"[", b"1,", JSON, TOO_LARGE, BATCH_MEMBERS * 2, id="numbers"),
        pytest.param(b"", b"\n", LINES, TOO_LARGE, BATCH_MEMBERS, id="blank lines"),
        pytest.param(b"", b"[", JSON, TOO_DEEP, 0, id="deep"),
        pytest.param(b"[", b'{"a":', JSON, TOO_DEEP, 0, id="deep objects"),
        pytest.param(b"", b'{"a":[', LINES, TOO_DEEP, 0, id="deep lines"),
        pytest.param(b"[", b" ", JSON, refused(413, "BODY_TOO_LARGE"), 64 * 1024 * 1024, id="nothing"),
        pytest.param(b'["', b"[{,", JSON, refused(413, "BODY_TOO_LARGE"), 64 * 1024 * 1024, id="text"),
    ],
)
async def test_batch_is_refused_when_it_is_known_to_be_too_much(
    app: ASGIApp, start: bytes, more: bytes, media_type: tuple[str, str], expected: Refusal, most: int
) -> None:
    """Nothing behind that is read, and nothing of it is parsed."""
    taken: list[int] = []

    def sent() -> Iterable[bytes]:
        for piece in pieces(start, more):
            taken.append(len(piece))
            yield piece

    answer = await ask(app, "POST", at(NOTES, "batch"), media_type, body=sent())

    assert expected == refusal(answer)
    assert sum(taken) <= most + 3 * PIECE


@pytest.mark.parametrize("media_type", [JSON, LINES])
async def test_members_of_a_batch_count_as_memory(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch, media_type: tuple[str, str]
) -> None:
    """What it will take when it is parsed has to be there as well."""
    monkeypatch.setattr(memory, "LIMIT", 20_000)
    monkeypatch.setattr(memory, "RESERVE", 0)
    job = b'{"when": "2026-12-01T10:00:00Z"}'
    separator, around = (b",", b"[%s]") if media_type == JSON else (b"\n", b"%s")

    few = await ask(app, "POST", at(NOTES, "batch"), media_type, body=[around % separator.join(repeat(job, 10))])
    many = await ask(app, "POST", at(NOTES, "batch"), media_type, body=[around % separator.join(repeat(job, 200))])

    assert 201 == few.status_code
    assert refused(503, "SERVICE_OVERLOADED") == refusal(many)


async def test_layout_is_no_member(client: httpx2.AsyncClient) -> None:
    """A batch may be written with as many lines and spaces as it likes."""
    jobs = json.dumps([{"when": "2026-12-01T10:00:00Z"}] * 3, indent=2).replace("\n", "\n" * 400_000)
    answer = await client.post(at(NOTES, "batch"), content=jobs, headers=dict([JSON]))

    assert 201 == answer.status_code, answer.text


def test_batch_may_be_as_large_as_that() -> None:
    """With as many jobs, members and levels as there may be."""
    outline = Outline(lines=False)
    outline.read(b"[" + b"{}," * (BATCH_JOBS - 1) + b"{}]")
    deep = Outline(lines=True)
    deep.read(b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT + b"\n")
    wide = Outline(lines=False)
    wide.read(b"[" + b"0," * (BATCH_MEMBERS - 1) + b"0]")
    with pytest.raises(HttpError):
        wide.read(b",")


async def test_batch_with_commas_in_its_texts_is_none_with_many_members(client: httpx2.AsyncClient) -> None:
    """However many there are, and with quotation marks and backslashes among them."""
    note = '",[{\\' * 5000
    answer = await client.post(at(NOTES, "batch"), json=[{"when": "2026-12-01T10:00:00Z", "note": note}] * 60)

    assert 201 == answer.status_code, answer.text
