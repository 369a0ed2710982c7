"""Events of a real service, as both clients yield them."""

from collections.abc import Iterator
from contextlib import aclosing, closing
from datetime import timedelta
from itertools import islice
from uuid import uuid4

import pytest

from mainspring.client import AsyncClient, Client
from tests.cluster.process import Process

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service on a port, for events are told on connections that stay."""
    with Process.serve("memory:", tmp_path_factory.mktemp("service")) as process:
        yield process


async def test_events_are_told_in_order(service: Process) -> None:
    """Only those of the scope, and behind an event that was named."""
    with Client(service.url) as client:
        client.create("vps4", "backups", {"vmId": str(uuid4())}, when=HOUR)
        job = client.create("test", "records", {"path": "/nowhere"}, when=HOUR)
        client.pause(job)
        client.delete(job)
        with closing(client.events("test", "records", after="oldest")) as events:
            first, *more = islice(events, 3)
        assert {job.id} == {event.data["jobId"] for event in (first, *more)}
        assert [first.event, *(event.event for event in more)] == [event.data["type"] for event in (first, *more)]
    async with AsyncClient(service.url) as on_loop:
        seen = []
        async with aclosing(on_loop.events("test", after=first.id)) as following:
            async for event in following:
                seen.append(event)
                if len(seen) == len(more):
                    break
    assert more == seen
