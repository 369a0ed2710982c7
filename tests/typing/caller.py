"""A program that uses both clients, for the type checker: each `assert_type` is what a user's editor shows."""

from collections.abc import Coroutine
from typing import Any, assert_type

from mainspring.client import AsyncClient, AsyncItems, Batch, Client, Items, Job, Limits, Run


def waits(client: Client, job: Job) -> None:
    """Answers are what is read."""
    assert_type(client.create("vps4", "backups", {"vmId": "x"}, when="now"), Job)
    assert_type(client.get(job), Job)
    assert_type(client.get_if_changed(job, '"1"'), Job | None)
    assert_type(client.create_batch("vps4", "backups", []), Batch)
    assert_type(client.limits("vps4"), Limits)
    assert_type(client.jobs("vps4", state="scheduled"), Items[Job])
    assert_type(client.delete(job), None)
    client.get()  # type: ignore[call-arg]  # a job is required
    client.jobs(stat="scheduled")  # type: ignore[call-arg]  # there is no such filter
    client.create("vps4", "backups", when=5)  # type: ignore[arg-type]  # a number is no moment


async def on_a_loop(client: AsyncClient, job: Job) -> None:
    """The same methods are coroutines."""
    assert_type(await assert_type(client.fire(job), Coroutine[Any, Any, Job]), Job)
    assert_type(await client.change(job, when="now"), Job)
    assert_type(client.runs(job), AsyncItems[Run])
    async for found in client.jobs():
        assert_type(found, Job)
