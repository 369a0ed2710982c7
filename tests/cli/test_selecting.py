"""Several jobs in one command, ids by their beginnings, and groups, products and everything in place of one group."""

import json
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest

from tests.cli.conftest import Run, Service
from tests.cli.test_jobs import ID, JOB, asked, problem

OTHER = "019d0f7c-5b7e-7c3a-8000-000000000002"
FAR = "019e0000-0000-7c3a-8000-000000000003"
BASE = "/api/schedulers"


def job(name: str, group: str = "backups", **members: Any) -> dict[str, Any]:
    """Return a job of a group of vps4."""
    return JOB | {"id": name, "jobGroup": group} | members


def having(service: Service, jobs: Sequence[dict[str, Any]], done: Sequence[dict[str, Any]] = ()) -> None:
    """Let a service have jobs: it lists those whose ids begin so, with one whose tag does, and shows each."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        service.asked.append(request)
        path = request.url.path.removeprefix(BASE)
        if path.endswith("/jobs"):
            begin, listed = request.url.params["q"], done if "state" in request.url.params else jobs
            like = [each for each in listed if _path(each).startswith(path.removesuffix("jobs"))]
            return httpx2.Response(200, json=[*(each for each in like if each["id"].startswith(begin)), TAGGED])
        for each in (*jobs, *done):
            if path.startswith(_path(each)):
                return httpx2.Response(200, json=each)
        detail = f"there is no job {path.split('/')[4]}"
        return problem(404, detail=detail, errors=[{"code": "JOB_NOT_FOUND", "detail": detail}])

    service.handle = handle  # type: ignore[method-assign]  # a test's own service


TAGGED = job(FAR[::-1])


def _path(found: dict[str, Any]) -> str:
    return f"/{found['product']}/{found['jobGroup']}/jobs/{found['id']}"


def writes(service: Service) -> list[str]:
    """Return what was asked besides looking."""
    return [request.url.path.removeprefix(BASE) for request in service.asked if request.method != "GET"]


# --- several, one failing


def test_several_jobs_in_one_command(run: Run, service: Service) -> None:
    """Each is done, in order."""
    having(service, [job(ID), job(OTHER)])
    code, out, err = run("jobs", "fire", "vps4/backups", ID, OTHER, "--ndjson")
    assert (0, "", [ID, OTHER]) == (code, err, [json.loads(line)["id"] for line in out.splitlines()])
    assert [f"/vps4/backups/jobs/{name}/fire" for name in (ID, OTHER)] == writes(service)


def test_one_that_fails_does_not_stop_the_others(run: Run, service: Service) -> None:
    """What is wrong is told with the id, and the exit code says so."""
    having(service, [job(ID), job(OTHER)])
    code, out, err = run("jobs", "pause", "vps4/backups", ID, FAR, "ffffff", OTHER)
    assert (1, f"Job {ID} is paused.\nJob {OTHER} is paused.\n") == (code, out)
    assert [
        f"{FAR}: there is no job {FAR} (JOB_NOT_FOUND)",
        "no job of vps4/backups has an id that begins with ffffff",
    ] == [line for line in err.splitlines() if "mean" not in line]


def test_service_that_goes_away_ends_it(run: Run, service: Service) -> None:
    """The others would wait for nothing."""
    service.error = httpx2.ConnectError("refused")
    code, _, err = run("jobs", "delete", "vps4/backups", ID, OTHER)
    assert (69, 1, 1) == (code, len(service.asked), len(err.splitlines()))


@pytest.mark.parametrize("command", ["show", "cancel", "resume", "retry", "preview"])
def test_one_id_is_an_object_and_several_are_an_array(run: Run, service: Service, command: str) -> None:
    """For programs, also if only one of several is there."""
    having(service, [job(ID), job(OTHER)])
    one = json.loads(run("jobs", command, "vps4/backups", ID, "--json").out)
    several = json.loads(run("jobs", command, "vps4/backups", ID, OTHER, "--json").out)
    some = json.loads(run("jobs", command, "vps4/backups", ID, FAR, "--json").out)
    assert (ID, [ID, OTHER], [ID]) == (one["id"], [each["id"] for each in several], [each["id"] for each in some])


# --- beginnings of ids


def test_id_by_its_beginning(run: Run, service: Service) -> None:
    """Large letters too; what is only tagged so is not meant."""
    having(service, [job(ID), job(FAR)])
    assert (0, f"Job {FAR} is deleted.\n", "") == run("jobs", "delete", "vps4/backups", "019E00")
    assert [f"/vps4/backups/jobs/{FAR}"] == writes(service)


def test_done_jobs_are_found_too(run: Run, service: Service) -> None:
    """They have ids as well."""
    having(service, [], [job(FAR, state="done")])
    assert FAR in run("jobs", "retry", "vps4/backups", "019e00").out


def test_beginning_of_several_ids(run: Run, service: Service) -> None:
    """All are named, and nothing is done."""
    having(service, [job(ID), job(OTHER)])
    code, _, err = run("jobs", "delete", "vps4/backups", "019d0f")
    named = f"vps4/backups {ID}, vps4/backups {OTHER}"
    assert (1, f"the ids of several jobs begin with 019d0f: {named}. Write more of it\n") == (code, err)
    assert [] == writes(service)


def test_very_many_such_ids(run: Run, service: Service) -> None:
    """Five are named."""
    having(service, [job(ID[:-2] + str(number)) for number in range(10, 30)])
    err = run("jobs", "show", "vps4/backups", "019d0f").err
    assert (5, True) == (err.count("vps4/backups 019d0f"), ", and more. Write more of it" in err)


def test_whole_id_needs_no_search(run: Run, service: Service) -> None:
    """One call, as ever."""
    having(service, [job(ID)])
    run("jobs", "fire", "vps4/backups", ID)
    assert ("POST", f"{BASE}/vps4/backups/jobs/{ID}/fire") == asked(service)


@pytest.mark.parametrize("scope", ["*", "*/*", "vps4", "vps4/*"])
def test_job_is_looked_for_in_several_groups(run: Run, service: Service, scope: str) -> None:
    """By its whole id, or how that begins."""
    having(service, [job(ID), job(FAR, "mail")])
    for text in (FAR, FAR[:8]):
        assert (0, "") == run("jobs", "cancel", scope, text)[::2]
    assert [f"/vps4/mail/jobs/{FAR}/cancel"] * 2 == writes(service)


def test_job_of_another_group_is_meant(run: Run, service: Service) -> None:
    """Where it is, is told."""
    having(service, [job(OTHER, "mail")])
    code, _, err = run("jobs", "show", "vps4/backups", OTHER)
    assert (1, True) == (code, f"Did you mean vps4/mail {OTHER}?" in err)


def test_id_that_is_almost_one(run: Run, service: Service) -> None:
    """What is like it is told."""
    having(service, [job(ID)])
    code, out, err = run("jobs", "show", "vps4/backups", ID[:10] + "ff", "--json")
    assert (1, "", True) == (code, out, f"did you mean vps4/backups {ID}?" in err)


# --- groups, products, everything


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ([], ""),
        (["*"], ""),
        (["*/*"], ""),
        (["vps4"], "/vps4"),
        (["vps4/*"], "/vps4"),
        (["vps4/backups"], "/vps4/backups"),
    ],
)
def test_scopes(run: Run, service: Service, scope: list[str], path: str) -> None:
    """Of lists, pauses and actions."""
    service.answer = httpx2.Response(200, json=[])
    run("jobs", "list", *scope)
    run("runs", "list", *scope)
    service.answer = httpx2.Response(200, json={})
    run("pause", *scope)
    run("resume", *scope)
    run("pauses", *scope)
    run("actions", "start", "pause", *scope)
    assert [f"{path}/{what}" for what in ("jobs", "runs", "pause", "resume", "pause", "jobs/actions")] == [
        request.url.path.removeprefix(BASE) for request in service.asked
    ]
