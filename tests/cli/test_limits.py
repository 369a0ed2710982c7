"""``mainspring limits``."""

import json
from typing import Any

import httpx2
import pytest

from tests.cli.conftest import Run, Service
from tests.cli.test_jobs import asked, body

LIMITS: dict[str, list[dict[str, Any]]] = {
    "concurrency": [{"limit": 50}, {"limit": 5, "by": "key"}],
    "rates": [{"limit": 100, "per": "PT1M"}, {"limit": 10, "per": "PT1S", "by": "key"}],
}
PATH = "/api/schedulers/vps4/backups/limits"


def test_limits_are_shown(run: Run, service: Service) -> None:
    """As a table; programs get the answer unchanged."""
    service.answer = httpx2.Response(200, json=LIMITS)

    code, out, err = run("limits", "show", "vps4/backups")

    assert (0, "", ("GET", PATH)) == (code, err, asked(service))
    assert [["what", "limit", "of"], ["at", "once", "50", "all"], ["at", "once", "5", "key"]] == [
        line.split() for line in out.splitlines()[:3]
    ]
    assert [["in", "PT1M", "100", "all"], ["in", "PT1S", "10", "key"]] == [
        line.split() for line in out.splitlines()[3:]
    ]
    assert LIMITS == json.loads(run("limits", "show", "vps4/backups", "--json").out)


def test_no_limits_are_told(run: Run, service: Service) -> None:
    """An empty table would say less."""
    service.answer = httpx2.Response(200, json={"concurrency": [], "rates": []})
    assert "There are no limits.\n" == run("limits", "show", "vps4").out


def test_limits_are_set(run: Run, service: Service) -> None:
    """Each flag may come more than once; times are as people write them."""
    service.answer = httpx2.Response(200, json=LIMITS)

    flags = (
        "--limit",
        "50",
        "--limit-by-key",
        "5",
        "--rate",
        "100/1m",
        "--rate-by-key",
        "10/PT1S",
        "--rate",
        "9/1h30m",
    )
    assert 0 == run("limits", "set", "vps4/backups", *flags).code

    assert ("PUT", PATH) == asked(service)
    per_minute, per_second = LIMITS["rates"]
    assert LIMITS | {"rates": [per_minute, {"limit": 9, "per": "PT1H30M"}, per_second]} == body(service)


def test_limits_are_reset(run: Run, service: Service) -> None:
    """What holds then is shown."""
    service.answer = httpx2.Response(200, json=LIMITS)
    assert 0 == run("limits", "reset", "vps4").code
    assert ("DELETE", "/api/schedulers/vps4/limits") == asked(service)


@pytest.mark.parametrize(
    "args",
    [[], ["--rate", "100"], ["--rate", "x/1m"], ["--rate", "/1m"], ["--limit", "many"], ["--rate-by-key", "5-1m"]],
)
def test_what_cannot_be_set(run: Run, service: Service, args: list[Any]) -> None:
    """Nothing is asked."""
    assert 2 == run("limits", "set", "vps4/backups", *args).code
    assert [] == service.asked


@pytest.mark.parametrize("scope", ["", "a/", "/b", "a/b/c", ".."])
def test_what_is_no_scope_is_refused(run: Run, scope: str) -> None:
    """The path might lead elsewhere."""
    assert 2 == run("limits", "show", scope).code


def test_weight_is_set_and_shown(run: Run, service: Service) -> None:
    """It may stand alone."""
    service.answer = httpx2.Response(200, json={"concurrency": [], "rates": [], "weight": 3})
    code, out, _ = run("limits", "set", "vps4", "--weight", "3")
    assert (0, {"concurrency": [], "rates": [], "weight": 3}) == (code, body(service))
    assert ["weight", "3", "all"] == out.splitlines()[1].split()


def test_quotas_are_set_and_shown(run: Run, service: Service) -> None:
    """Beside limits, or alone."""
    quota = {"pending": 1000, "createsPerMinute": 600, "bytes": 1073741824}
    service.answer = httpx2.Response(200, json={"concurrency": [], "rates": [], "quota": quota})
    flags = ["--pending", "1000", "--creates-per-minute", "600", "--bytes", "1073741824"]

    code, out, _ = run("limits", "set", "vps4", *flags)

    assert (0, {"concurrency": [], "rates": [], "quota": quota}) == (code, body(service))
    assert [
        ["pending", "1000", "all"],
        ["creates", "a", "minute", "600", "all"],
        ["bytes", "1073741824", "all"],
    ] == [line.split() for line in out.splitlines()[1:]]


def test_one_quota_may_stand_alone(run: Run, service: Service) -> None:
    """What is left out is no quota."""
    service.answer = httpx2.Response(200, json={"concurrency": [], "rates": [], "quota": {"bytes": 5}})
    code, out, _ = run("limits", "set", "vps4", "--bytes", "5")
    assert (0, {"bytes": 5}, 2) == (code, body(service)["quota"], len(out.splitlines()))
