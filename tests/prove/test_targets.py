"""The zoo of targets notices who comes where nobody may, and the judge each call that ended otherwise than it must."""

import asyncio
import os
import socket

import pytest

from prove.beasts import INSIDE, Beast
from prove.names import leading, look_up
from prove.scenarios.targets import Ended, Zoo, is_right, seconds_between, sockets

FAILS = Beast(None, "failed", "ssrf-blocked")
WAITS = Beast(None, "postponed", "busy: ", waits=7)


@pytest.mark.parametrize(
    ("ended", "beast", "right"),
    [
        (Ended("b", "failed", "ssrf-blocked: the URL", None), FAILS, True),
        (Ended("b", "failed", "the connection broke", None), FAILS, False),
        (Ended("b", "succeeded", "", None), FAILS, False),
        (Ended("b", "none", "it has not ended", None), FAILS, False),
        (Ended("b", "postponed", "busy: answered 429", 7.0), WAITS, True),
        (Ended("b", "postponed", "busy: answered 429", 1.0), WAITS, False),
        (Ended("b", "failed", "busy: answered 429", 7.0), WAITS, False),
    ],
)
def test_right_ends(ended: Ended, beast: Beast, right: bool) -> None:  # noqa: FBT001
    """The outcome, the reason and the wait are those of the kind."""
    assert right is is_right(ended, beast)


async def test_who_comes_where_nobody_may_is_counted() -> None:
    """Each connection, also one over which nothing is said; and no other."""
    async with Zoo() as zoo:
        for place in ((INSIDE, zoo.port), ("127.0.0.1", zoo.forbidden), ("127.0.0.1", zoo.port)):
            reader, writer = await asyncio.open_connection(*place)
            if place[1] == zoo.port and place[0] != INSIDE:
                writer.write(b"POST /ok HTTP/1.1\r\n\r\n")
                assert b"yes" in await reader.read()
            else:
                assert b"" == await reader.read()
            writer.close()
        assert {f"{INSIDE}:{zoo.port}": 1, f"127.0.0.1:{zoo.forbidden}": 1} == zoo.heard


async def test_each_beast_is_reached() -> None:
    """By a path of its own, or it has another URL; and it does what it does to whoever hangs up."""
    async with Zoo() as zoo:
        for name, beast in zoo.beasts.items():
            assert (beast.does is None) <= bool(beast.url), name
            if beast.does is not None:
                _, writer = await asyncio.open_connection("127.0.0.1", zoo.port)
                writer.write(f"GET /{name.replace(' ', '%20')} HTTP/1.1\r\n\r\n".encode())
                await writer.drain()
                writer.close()


def test_names_lead_where_they_say() -> None:
    """And elsewhere from the second look-up on."""
    name = leading("127.0.0.1", "10.0.0.1", then=(INSIDE,), number=3)

    assert [["127.0.0.1", "10.0.0.1"], [INSIDE], [INSIDE]] == [look_up(name) for _ in range(3)]
    assert ["127.0.0.1"] == look_up(leading("127.0.0.1", number=4))


def test_sockets_are_counted() -> None:
    """Of any process that we may look at."""
    before = sockets(os.getpid())
    with socket.socket():
        assert before + 1 == sockets(os.getpid())


def test_times_between() -> None:
    """As the API writes moments."""
    assert seconds_between("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:07.5Z") == pytest.approx(7)
