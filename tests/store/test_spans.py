"""One wrapper times every verb of a store."""

import pytest

from mainspring.clock import ManualClock
from mainspring.errors import StoreUnavailableError
from mainspring.store import Span, spanned
from mainspring.store.spans import VERBS
from mainspring.store.sqlite import SqliteStore
from tests.contract.build import a_job


async def test_each_call_is_told_with_its_time_and_its_error() -> None:
    """What the store answers and raises is passed on."""
    clock, heard = ManualClock(), list[Span]()
    plain = SqliteStore(None, clock)
    store = spanned(plain, clock, heard.append)

    await store.open()
    job = a_job()
    await store.add([job])
    assert job == await store.get(job.id)
    await store.close()
    with pytest.raises(StoreUnavailableError) as away:
        await store.now()

    assert [Span("open", 0, None), Span("add", 0, None), Span("get", 0, None), Span("close", 0, None)] == heard[:4]
    assert Span("now", 0, away.value) == heard[4]
    assert plain.durable is store.durable


def test_all_verbs_are_wrapped() -> None:
    """What a protocol gains is timed without a further word."""
    assert {"claim", "finish", "note", "beat", "open", "runs"} <= set(VERBS)
    assert "watch" not in VERBS
