"""Bodies as bytes: what is JSON, what is too much of it, and what no store could keep."""

import gzip
import json
from collections.abc import Iterator
from itertools import repeat

import httpx2
import pytest
from starlette.types import ASGIApp

from tests.web.answers import Refusal, at, refusal, refused, uncreatable
from tests.web.plugin import NOTES
from tests.web.raw import JSON, ask, counted

LIMIT = 256 * 1024
SOME = "5348dfe6-c87d-4f86-8b61-1d22f47c607e"


def note(value: str) -> str:
    """Return a body, right but for the JSON text of one value."""
    return f'{{"when": "2026-12-01T10:00:00Z", "note": {value}}}'


def nested(levels: int) -> str:
    """Return a body that nests so deep."""
    return note("[" * (levels - 1) + "]" * (levels - 1))


def wide(members: int) -> str:
    """Return a body with so many members and elements, in all."""
    return note(json.dumps([0] * (members - 2)))


def sized(size: int) -> str:
    """Return a body of so many bytes."""
    return note('"{}"'.format("x" * (size - len(note('""')))))


async def post(client: httpx2.AsyncClient, body: str | bytes, media_type: str = "application/json") -> httpx2.Response:
    """POST a body to a group that takes whatever is sent."""
    return await client.post(at(NOTES), content=body, headers={"Content-Type": media_type})


MALFORMED = refused(400, "MALFORMED_JSON")
BAD_ENCODING = refused(400, "INVALID_ENCODING")
NOT_OBJECT = uncreatable("BODY_NOT_OBJECT")
NUMBER_RANGE = uncreatable("NUMBER_RANGE")
NUL = uncreatable("NUL_IN_STRING")
BAD_UNICODE = uncreatable("INVALID_UNICODE")
TOO_DEEP = refused(400, "JSON_TOO_DEEP")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("", MALFORMED, id="empty"),
        pytest.param(" \n", MALFORMED, id="blank"),
        pytest.param("when=2026-12-01T10:00:00Z", MALFORMED, id="form"),
        pytest.param('{"when": "2026-12-01T10:00:00Z"', MALFORMED, id="cut short"),
        pytest.param('{"when": "2026-12-01T10:00:00Z",}', MALFORMED, id="trailing comma"),
        pytest.param("{'when': '2026-12-01T10:00:00Z'}", MALFORMED, id="single quotes"),
        pytest.param('{"when": "2026-12-01T10:00:00Z"} {}', MALFORMED, id="two values"),
        pytest.param('{"when": "2026-12-01T10:00:00Z"} // now', MALFORMED, id="comment"),
        pytest.param("\ufeff" + note("1"), MALFORMED, id="byte order mark"),
        pytest.param(note("NaN"), MALFORMED, id="NaN"),
        pytest.param(note("Infinity"), MALFORMED, id="Infinity"),
        pytest.param(note("-Infinity"), MALFORMED, id="-Infinity"),
        pytest.param(note("01"), MALFORMED, id="leading zero"),
        pytest.param(note("+1"), MALFORMED, id="plus"),
        pytest.param(note(".5"), MALFORMED, id="bare fraction"),
        pytest.param(note("0x10"), MALFORMED, id="hexadecimal"),
        pytest.param(note("True"), MALFORMED, id="True"),
        pytest.param(note('"\n"'), MALFORMED, id="raw line break"),
        pytest.param(note('"\0"'), MALFORMED, id="raw NUL"),
        pytest.param(note(r'"\x41"'), MALFORMED, id="escape of another language"),
        pytest.param('{"when": "2026-12-01T10:00:00Z", "when": "2027-01-01T00:00:00Z"}', MALFORMED, id="twice"),
        pytest.param(note('{"a": 1, "a": 1}'), MALFORMED, id="twice inside"),
        pytest.param(note(r'{"a": 1, "\u0061": 2}'), MALFORMED, id="twice, spelt differently"),
        pytest.param(note('"\\xff"').encode().replace(b"\\xff", b"\xff"), BAD_ENCODING, id="no UTF-8"),
        pytest.param(note('"?"').encode().replace(b"?", b"\xc0\xaf"), BAD_ENCODING, id="overlong"),
        pytest.param(note('"?"').encode().replace(b"?", b"\xed\xa0\xbd\xed\xb8\x80"), BAD_ENCODING, id="CESU-8"),
        pytest.param(note("1").encode("utf-16"), BAD_ENCODING, id="UTF-16"),
        pytest.param("[]", NOT_OBJECT, id="array"),
        pytest.param('[{"when": "2026-12-01T10:00:00Z"}]', NOT_OBJECT, id="array of one"),
        pytest.param('"when"', NOT_OBJECT, id="text"),
        pytest.param("1", NOT_OBJECT, id="number"),
        pytest.param("null", NOT_OBJECT, id="null"),
        pytest.param("true", NOT_OBJECT, id="true"),
        pytest.param(note("9" * 1001), NUMBER_RANGE, id="1001 digits"),
        pytest.param(note("-" + "9" * 4301), NUMBER_RANGE, id="4301 digits"),
        pytest.param(note("1" * 200_000), NUMBER_RANGE, id="200000 digits"),
        pytest.param(note("1e400"), NUMBER_RANGE, id="1e400"),
        pytest.param(note("-1e999999999999"), NUMBER_RANGE, id="-1e999999999999"),
        pytest.param(note(r'"a\u0000b"'), NUL, id="NUL"),
        pytest.param(note(r'{"a\u0000b": 1}'), NUL, id="NUL in a name"),
        pytest.param(note(r'"\ud800"'), BAD_UNICODE, id="half a surrogate pair"),
        pytest.param(note(r'"\udc00\ud800"'), BAD_UNICODE, id="surrogates the wrong way round"),
        pytest.param(note(r'[{"\udfff": 1}]'), BAD_UNICODE, id="half a surrogate pair in a name"),
        pytest.param(nested(33), TOO_DEEP, id="33 deep"),
        pytest.param(note('{"a":' * 32 + "1" + "}" * 32), TOO_DEEP, id="33 objects deep"),
        pytest.param("[" * 100_000, TOO_DEEP, id="100000 deep"),
        pytest.param('{"a":' * 40_000, TOO_DEEP, id="40000 objects deep"),
        pytest.param(wide(1001), uncreatable("TOO_MANY_MEMBERS"), id="1001 wide"),
        pytest.param(sized(LIMIT + 1), refused(413, "BODY_TOO_LARGE"), id="one byte too many"),
    ],
)
async def test_body_is_refused(client: httpx2.AsyncClient, body: str | bytes, expected: Refusal) -> None:
    """400 for what is no JSON, 422 for JSON that means nothing legal, 413 for too much."""
    assert expected == refusal(await post(client, body))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(nested(32), id="32 deep"),
        pytest.param(wide(1000), id="1000 wide"),
        pytest.param(sized(LIMIT), id="as large as may be"),
        pytest.param(" \r\n\t" + note("1") + " ", id="white space around"),
        pytest.param(note(r'"\ud83d\ude00 \u00e9 \u2028"'), id="escapes"),
        pytest.param(note('"😀 é \u202e\u007f"'), id="characters beyond ASCII"),
        pytest.param(note(r'"\u0001\u001f\/"'), id="control characters"),
        pytest.param(note('{"": null}'), id="empty name"),
        pytest.param(note('{"__proto__": 1, "constructor": 2, "$ref": "#/", "__class__": "os.system"}'), id="names"),
        pytest.param(note('"!!python/object:os.system"'), id="text that is code elsewhere"),
        pytest.param('{"when": "2026-12-01T10:00:00Z", "__proto__": {"a": 1}, "__class__": "x", "$ref": 1}', id="top"),
        pytest.param(note("[-0, 0.0, 1.10, 1E2, 1e-7, 0.1, 12345678901234567890]"), id="numbers"),
        pytest.param(note("9" * 1000), id="1000 digits"),
        pytest.param(note("-1.7976931348623157e308"), id="the largest double"),
        pytest.param(note("0." + "1" * 10_000), id="a long fraction"),
        pytest.param(note("[null, true, false]"), id="literals"),
    ],
)
async def test_body_is_kept_as_it_was_sent(client: httpx2.AsyncClient, body: str) -> None:
    """What a job is asked to do with comes back equal, from the answer and from the store."""
    created = await post(client, body)

    assert created.status_code == 201, created.text
    shown = await client.get(created.headers["location"])
    assert json.loads(body) == created.json()["jobRequest"] == shown.json()["jobRequest"]


# --- size -------------------------------------------------------------------------------------------------------------


async def test_endless_body_is_not_read_to_its_end(client: httpx2.AsyncClient) -> None:
    """A body without a length is refused as soon as it is larger than may be."""
    taken: list[int] = []

    answer = await client.post(
        at(NOTES), content=counted(repeat(b"x" * 65536), taken), headers={"Content-Type": "application/json"}
    )

    assert refused(413, "BODY_TOO_LARGE") == refusal(answer)
    assert sum(taken) == LIMIT + 65536


@pytest.mark.parametrize(
    ("path", "limit"), [(at(NOTES), LIMIT), (at(NOTES, "batch"), 64 * 1024 * 1024), (at(NOTES, SOME, "retry"), LIMIT)]
)
@pytest.mark.parametrize("more", [1, 10**17])
async def test_length_says_enough(app: ASGIApp, path: str, limit: int, more: int) -> None:
    """A body that is said to be too large is not even begun with, so that nobody is told to go on sending it."""
    taken: list[int] = []

    def sent() -> Iterator[bytes]:
        taken.append(1)
        yield b" "

    answer = await ask(app, "POST", path, JSON, ("content-length", str(limit + more)), body=sent())

    assert refused(413, "BODY_TOO_LARGE") == refusal(answer)
    assert [] == taken


async def test_body_may_come_in_pieces(app: ASGIApp) -> None:
    """Where a network cuts a body says nothing, not even within a character."""
    body = note('"😀"').encode()

    answer = await ask(app, "POST", at(NOTES), JSON, body=[bytes([byte]) for byte in body])

    assert answer.json()["jobRequest"]["note"] == "😀"


async def test_body_that_is_cut_off_makes_no_job(app: ASGIApp, client: httpx2.AsyncClient) -> None:
    """A client that hangs up in mid-sentence is no fault of the service, and nothing is guessed from what it said."""
    answer = await ask(app, "POST", at(NOTES), JSON, body=[note("1").encode()], cut_off=True)

    assert refused(400, "BODY_INCOMPLETE") == refusal(answer)
    assert (await client.get(at(NOTES))).json() == []


# --- media types ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/json;charset=UTF-8",
        "Application/JSON ; charset=utf-8",
        "application/vnd.x+json",
        "application/merge-patch+json",
    ],
)
async def test_json_may_be_called_so_in_several_ways(client: httpx2.AsyncClient, media_type: str) -> None:
    """Every media type that says it is JSON is read as JSON."""
    assert (await post(client, note("1"), media_type)).status_code == 201


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "text/json",
        "application/jsonp",
        "application/json, text/plain",
        "json",
    ],
)
async def test_other_media_types_are_refused(client: httpx2.AsyncClient, media_type: str) -> None:
    """Also because a page of another site can send a form, but no JSON, without being asked."""
    assert refused(415, "UNSUPPORTED_MEDIA_TYPE") == refusal(await post(client, note("1"), media_type))


async def test_body_without_a_media_type_is_refused(client: httpx2.AsyncClient) -> None:
    """Nothing is guessed."""
    answer = await client.post(at(NOTES), content=note("1"))

    assert refused(415, "UNSUPPORTED_MEDIA_TYPE") == refusal(answer)


@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT"])
@pytest.mark.parametrize("media_type", ["application/json-patch+json", "Application/JSON-Patch+json;charset=utf-8"])
async def test_patches_of_another_kind_are_refused(client: httpx2.AsyncClient, method: str, media_type: str) -> None:
    """A list of operations is JSON, but no job; where a job can be patched it is said how."""
    path = "/api/schedulers/calendars/a" if method == "PUT" else at(NOTES, SOME) if method == "PATCH" else at(NOTES)
    answer = await client.request(method, path, content="[]", headers={"Content-Type": media_type})

    assert refused(415, "UNSUPPORTED_MEDIA_TYPE") == refusal(answer)
    accepted = "application/merge-patch+json, application/json" if method == "PATCH" else None
    assert accepted == answer.headers.get("accept-patch")


@pytest.mark.parametrize("path", [at(NOTES), at(NOTES, "batch"), at(NOTES, SOME, "retry")])
@pytest.mark.parametrize("charset", ["utf-16", "ISO-8859-1", '"latin1"', "windows-1252", "utf-7", ""])
async def test_other_character_sets_are_refused(client: httpx2.AsyncClient, path: str, charset: str) -> None:
    """JSON is UTF-8, and nothing is read in another way than it was meant."""
    media_type = f"application/json; v=1;Charset = {charset}"
    answer = await client.post(path, content=note("1"), headers={"Content-Type": media_type})

    assert refused(415, "UNSUPPORTED_MEDIA_TYPE") == refusal(answer)


@pytest.mark.parametrize("path", [at(NOTES), at(NOTES, "batch"), at(NOTES, SOME, "retry")])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"])
async def test_bodies_that_are_packed_are_refused(client: httpx2.AsyncClient, path: str, coding: str) -> None:
    """They are not unpacked, and what is in them is not guessed."""
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = await client.post(path, content=gzip.compress(b"{}"), headers=headers)

    assert refused(415, "UNSUPPORTED_MEDIA_TYPE") == refusal(answer)
    assert "identity" == answer.headers["accept-encoding"]


async def test_body_may_say_that_it_is_not_packed(client: httpx2.AsyncClient) -> None:
    """Which is the same as to say nothing."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "Identity"}

    assert 201 == (await client.post(at(NOTES), content=note("1"), headers=headers)).status_code


@pytest.mark.parametrize("path", [at(NOTES), at(NOTES, "batch"), "/livez", "/x"])
@pytest.mark.parametrize("expected", ["a", "100-continue, a", "101-continue", ""])
async def test_nothing_else_can_be_expected(app: ASGIApp, path: str, expected: str) -> None:
    """But to be told to go on."""
    answer = await ask(app, "POST", path, JSON, ("expect", expected), body=[b"{}"])

    assert refused(417, "EXPECTATION_FAILED") == refusal(answer)
