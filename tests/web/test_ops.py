"""GET livez and readyz: for whoever starts, stops and watches the process."""

import pytest

from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import refusal, refused
from tests.web.conftest import MakeApp, client_of


@pytest.mark.parametrize("obstacle", [None, "claims fail"])
async def test_process_that_answers_is_alive(make_app: MakeApp, store: SqliteStore, obstacle: str | None) -> None:
    """Also while no jobs run."""
    async with client_of(make_app(store, obstacle)) as client:
        answer = await client.get("/livez")

    assert (200, {"status": "ok"}) == (answer.status_code, answer.json())


async def test_service_is_ready_while_it_takes_and_runs_jobs(make_app: MakeApp, store: SqliteStore) -> None:
    """And says whether they would survive it."""
    async with client_of(make_app(store)) as client:
        answer = await client.get("/readyz")

    assert (200, {"status": "ok", "durable": False}) == (answer.status_code, answer.json())


async def test_service_whose_jobs_do_not_run_is_not_ready(make_app: MakeApp, store: SqliteStore) -> None:
    """It says why and when to ask again, and jobs are taken all the same as long as it listens."""
    async with client_of(make_app(store, "the service is starting or stopping")) as client:
        answer = await client.get("/readyz")
        created = await client.post("/api/schedulers/vps4/backups/jobs", json={"when": "2026-12-01T10:00:00Z"})

    assert refused(503, "NOT_READY") == refusal(answer)
    assert answer.json()["detail"] == "the service is starting or stopping"
    assert created.status_code == 201


async def test_front_door_leads_to_the_documentation(make_app: MakeApp, store: SqliteStore) -> None:
    """Whoever opens the bare address finds the calls."""
    async with client_of(make_app(store)) as client:
        answer = await client.get("/")

    assert (307, "/docs") == (answer.status_code, answer.headers["location"])
