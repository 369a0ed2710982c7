"""``mainspring nodes``, ``plugins served``, ``schema`` and ``runs``: what is asked, and what is printed."""

import json

import httpx2
import pytest

from tests.cli.conftest import Run, Service
from tests.cli.test_jobs import ID, LAST_RUN, PATH, asked, cells
from tests.cli.test_status import NODE

BASE = "/api/schedulers"
OTHER = NODE | {"node": "n2:bb"}


@pytest.fixture
def nodes(service: Service) -> Service:
    """A service with two nodes."""
    service.at[f"GET {BASE}/nodes"] = httpx2.Response(200, json=[NODE, OTHER])
    for node in (NODE, OTHER):
        for verb in ("drain", "resume"):
            service.at[f"POST {BASE}/nodes/{node['node']}/{verb}"] = httpx2.Response(
                200, json=node | {"isDrained": verb == "drain"}
            )
    return service


def test_nodes_are_listed(run: Run, nodes: Service) -> None:
    """A line for each; the wide form has their groups."""
    assert [["node", "host", "running", "slots", "state"], ["n1:aa", "h", "1", "10", "ok"]] == cells(
        run("nodes", "list").out
    )[:2]
    assert "vps4/backups" in run("nodes", "list", "-o", "wide").out
    assert [NODE, OTHER] == json.loads(run("nodes", "list", "--json").out)
    assert 3 == len(nodes.asked)


@pytest.mark.parametrize(("verb", "state"), [("drain", "drained"), ("resume", "ok")])
def test_nodes_are_named_by_their_beginnings(run: Run, nodes: Service, verb: str, state: str) -> None:
    """Or in full; several in one command."""
    code, out, err = run("nodes", verb, "n1", "n2:bb")
    assert (0, "", [state, state]) == (code, err, [row[-1] for row in cells(out)[1:]])
    assert [f"{BASE}/nodes/n1:aa/{verb}", f"{BASE}/nodes/n2:bb/{verb}"] == [
        request.url.path for request in nodes.asked[1:]
    ]


def test_nodes_that_are_not_there(run: Run, nodes: Service) -> None:
    """They are told with what is there; the others go on."""
    code, out, err = run("nodes", "drain", "n", "m1:aa", "x", "n2")
    assert (1, ["n2:bb"]) == (code, [row[0] for row in cells(out)[1:]])
    assert [
        "the names of several nodes begin with 'n': n1:aa, n2:bb",
        "there is no node 'm1:aa'; did you mean n1:aa?",
        "there is no node 'x'; there are n1:aa, n2:bb",
    ] == err.splitlines()
    assert 2 == len(nodes.asked)


def test_plugins_of_a_service(run: Run, service: Service) -> None:
    """With their nodes."""
    served = {"product": "vps4", "jobGroup": "backups", "registered": True, "plugin": "entry point", "nodes": ["n1:aa"]}
    service.answer = httpx2.Response(200, json=[served | {"maxAttempts": 3}])
    head, row = cells(run("plugins", "served").out)
    assert ("GET", f"{BASE}/plugins") == asked(service)
    assert ["product", "jobGroup", "registered", "plugin", "nodes"] == head
    assert ["vps4", "backups", "true"] == row[:3]
    assert "maxAttempts" in run("plugins", "served", "-o", "wide").out


def test_schema(run: Run, service: Service) -> None:
    """It is JSON for people too."""
    service.answer = httpx2.Response(200, json={"type": "object", "title": "\x1b"})
    code, out, _ = run("schema", "vps4/backups")
    assert (0, {"type": "object", "title": "\x1b"}) == (code, json.loads(out))
    assert "\x1b" not in out
    assert ("GET", f"{BASE}/vps4/backups/schema") == asked(service)


def test_runs_across_groups(run: Run, service: Service) -> None:
    """Each with the job that it is of."""
    service.answer = httpx2.Response(200, json=[LAST_RUN | {"jobId": ID}])
    code, out, _ = run("runs", "list", "vps4", "--outcome", "failed,lost", "--node", "n1", "--limit", "5")
    assert (0, ("GET", f"{BASE}/vps4/runs?limit=5&outcome=failed%2Clost&node=n1")) == (code, asked(service))
    assert [[ID, "7", "failed"], ["jobId", "run", "outcome"]] == [row[:3] for row in cells(out)[::-1]]


def test_pages_with_few_runs_are_put_together(run: Run, service: Service) -> None:
    """A page that the service looked through may have none, and more be behind it."""
    empty = httpx2.Response(200, json=[], headers={"Link": f'<{BASE}/runs/more>; rel="next"'})
    service.at[f"GET {BASE}/runs"] = empty
    service.at[f"GET {BASE}/runs/more"] = httpx2.Response(200, json=[LAST_RUN])
    code, out, err = run("runs", "list", "--outcome", "failed")
    assert (0, "", 2) == (code, err, len(out.splitlines()))


def test_one_run_with_its_log(run: Run, service: Service) -> None:
    """Traceback and log are below the table, with their lines and without what commands a terminal."""
    details = LAST_RUN | {"result": None, "resultError": None, "traceback": "Traceback:\n\tValueError"}
    service.at[f"GET {PATH}/{ID}/runs/7"] = httpx2.Response(200, json=details)
    service.at[f"GET {PATH}/{ID}/runs/7/log"] = httpx2.Response(200, text="one\n\x1btwo\n")
    code, out, err = run("runs", "show", "vps4/backups", ID, "7", "--log")
    assert (0, "") == (code, err)
    assert out.endswith("\ntraceback:\nTraceback:\n        ValueError\n\nlog:\none\n\N{REPLACEMENT CHARACTER}two\n")
    assert details == json.loads(run("runs", "show", "vps4/backups", ID, "7", "--json").out)
    assert (0, "one\n\N{REPLACEMENT CHARACTER}two\n", "") == run("runs", "log", "vps4/backups", ID, "7")
