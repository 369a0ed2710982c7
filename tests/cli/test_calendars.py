"""``mainspring calendars``: what is sent and what is printed."""

import json

import httpx2
import pytest

from tests.cli.conftest import Run, Service
from tests.cli.test_jobs import asked, body, cells

PATH = "/api/schedulers/calendars"
FREEZE = {"dates": ["2026-12-24"], "timeZone": "Europe/Berlin"}


def test_list(run: Run, service: Service) -> None:
    """Calendars are listed by name, each in full."""
    service.answer = httpx2.Response(200, json={"freeze": {"dates": ["2026-12-24"]}, "none": {}})

    code, out, err = run("calendars", "list")

    assert (0, "", ("GET", PATH)) == (code, err, asked(service))
    assert [["name", "calendar"], ["freeze", '{"dates":', '["2026-12-24"]}'], ["none", "{}"]] == cells(out)


def test_show(run: Run, service: Service) -> None:
    """One calendar is shown member by member."""
    service.answer = httpx2.Response(200, json=FREEZE)

    code, out, _ = run("calendars", "show", "freeze")

    assert (0, ("GET", f"{PATH}/freeze")) == (code, asked(service))
    assert [["member", "value"], ["dates", '["2026-12-24"]'], ["timeZone", "Europe/Berlin"]] == cells(out)


def test_put(run: Run, service: Service) -> None:
    """The calendar is made as a request is: of JSON and of single members."""
    service.answer = httpx2.Response(201, json=FREEZE)

    code, out, _ = run(
        "calendars", "put", "freeze", 'dates:=["2026-12-24"]', "--data", '{"dates": [], "timeZone": "Europe/Berlin"}'
    )

    assert (0, ("PUT", f"{PATH}/freeze"), FREEZE) == (code, asked(service), body(service))
    assert ["timeZone", "Europe/Berlin"] in cells(out)


def test_delete(run: Run, service: Service) -> None:
    """Deleting is one call, and is told."""
    assert run("calendars", "delete", "freeze") == (0, "Calendar freeze is deleted.\n", "")
    assert asked(service) == ("DELETE", f"{PATH}/freeze")


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["put", "x"]])
def test_json_is_what_the_service_answered(run: Run, service: Service, command: list[str]) -> None:
    """Programs get the answer unchanged."""
    service.answer = httpx2.Response(200, json=FREEZE)

    assert FREEZE == json.loads(run("calendars", *command, "--json").out)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_name_that_is_none(run: Run, service: Service, name: str) -> None:
    """Nothing is sent that would be another path."""
    code, _, err = run("calendars", "show", name)

    assert (2, True, []) == (code, "is not the name of a calendar" in err, service.asked)


def test_name_is_quoted(run: Run, service: Service) -> None:
    """Whether it is a good one is for the service to say."""
    run("calendars", "delete", "a b")

    assert asked(service) == ("DELETE", f"{PATH}/a%20b")
