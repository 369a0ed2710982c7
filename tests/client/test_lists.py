"""Lists ask for one page after the other, and for no more of them than are needed."""

from itertools import islice

import httpx2
import pytest

from mainspring.client import Conflict
from tests.client.conftest import Handler, async_client_with, client_with
from tests.client.test_sending import JOB, PROBLEM


def paged(sizes: list[int], asked: list[str]) -> Handler:
    """Return a service with pages of these sizes."""

    def handler(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.params.get("cursor", ""))
        number = int(asked[-1] or 0)
        more = {"Link": f'</api/schedulers/jobs?cursor={number + 1}>; rel="next"'} if number + 1 < len(sizes) else {}
        return httpx2.Response(200, json=[JOB] * sizes[number], headers=more)

    return handler


@pytest.mark.parametrize("sizes", [[0], [2], [2, 1], [2, 2], [2, 0], [0, 2], [2, 2, 0]])
async def test_a_list_has_all_pages(sizes: list[int]) -> None:
    """Empty ones too: only the service knows which is the last."""
    asked: list[str] = []
    assert sum(sizes) == len(list(client_with(paged(sizes, asked)).jobs()))
    assert len(sizes) == len(asked)
    async with async_client_with(paged(sizes, asked)) as client:
        assert sizes == [len(page.items) async for page in client.jobs().pages()]
    assert 2 * len(sizes) == len(asked)


async def test_no_page_is_asked_for_that_nobody_wants() -> None:
    """A program may stop early; each iteration begins anew."""
    asked: list[str] = []
    jobs = client_with(paged([2, 2, 2], asked)).jobs()
    assert [] == asked
    assert 3 == len(list(islice(jobs, 3)))
    assert ["", "1"] == asked
    assert 6 == len(list(jobs))
    asked.clear()
    async with async_client_with(paged([2, 2, 2], asked)) as client:
        async for _ in client.jobs():
            break
    assert [""] == asked


def test_an_error_on_the_way_comes_where_it_happens() -> None:
    """What came before it is there."""

    def handler(request: httpx2.Request) -> httpx2.Response:
        if "cursor" in request.url.params:
            return httpx2.Response(409, json={"id": "CURSOR_INVALID"}, headers=PROBLEM)
        return httpx2.Response(200, json=[JOB], headers={"Link": '</api/schedulers/jobs?cursor=1>; rel="next"'})

    jobs = iter(client_with(handler).jobs())
    assert "1" == next(jobs).id
    with pytest.raises(Conflict):
        next(jobs)


def test_many_are_created_in_parts() -> None:
    """A part is at least one job."""
    with pytest.raises(ValueError, match="at least one"):
        list(client_with(lambda _: httpx2.Response(500)).create_many("a", "b", [{}], chunk=0))
