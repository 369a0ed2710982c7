"""When a job runs, as flags: once, or how it repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from mainspring.cli.moments import MOMENT, iso_duration, moment

_RULES = ("every", "cron", "rrule", "at", "anyOf")
"""The members of a schedule of which it has one."""


@dataclass(frozen=True)
class Plan:
    """When a job runs, as far as flags say so."""

    when: Annotated[str | None, typer.Option(metavar="TIME", help=f"Time to run, {MOMENT}.")] = None
    every: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Repeat it so often, as in 15m, 1h30m, 1d or PT15M.")
    ] = None
    cron: Annotated[str | None, typer.Option(metavar="FIELDS", help="Repeat it so, as in '0 3 * * *'.")] = None
    rrule: Annotated[str | None, typer.Option(metavar="RULE", help="Repeat it so, as in 'FREQ=WEEKLY;BYDAY=MO'.")] = (
        None
    )
    tz: Annotated[str | None, typer.Option(metavar="ZONE", help="Time zone of the schedule, as in Europe/Berlin.")] = (
        None
    )
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help=f"First fire time of the schedule, {MOMENT}.")
    ] = None
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="No fire time is later than this.")] = None
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="So many fire times in all.")] = None

    def into(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a request with what the flags say; they win. Raises `typer.BadParameter`."""
        rules = self._rules()
        terms = self._terms()
        given = request.get("schedule")
        if terms and not rules and not given:
            raise typer.BadParameter(f"{_flags(terms)} need --every, --cron or --rrule beside them")
        kept = {name: value for name, value in (given or {}).items() if not rules or name not in _RULES}
        return request | self._once() | ({"schedule": kept | rules | terms} if rules or terms else {})

    def patch(self, change: dict[str, Any]) -> dict[str, Any]:
        """Return a change of a job with what the flags say; another rule takes the place of the one it has."""
        rules = self._rules()
        others = {name: None for name in _RULES if name not in rules} if rules else {}
        schedule = others | rules | self._terms()
        given = change.get("schedule") or {}
        return change | self._once() | ({"schedule": given | schedule} if schedule else {})

    def _once(self) -> dict[str, Any]:
        return {} if self.when is None else {"when": moment(self.when)}

    def _rules(self) -> dict[str, Any]:
        rules = {"every": self.every and iso_duration(self.every), "cron": self.cron, "rrule": self.rrule}
        said = {name: rule for name, rule in rules.items() if rule is not None}
        if len(said) > 1:
            raise typer.BadParameter(f"{_flags(said)} say in several ways how the job repeats: keep one")
        return said

    def _terms(self) -> dict[str, Any]:
        terms: dict[str, Any] = {
            "timeZone": self.tz,
            "start": self.begin and moment(self.begin, "--from"),
            "end": self.end and moment(self.end, "--to"),
            "count": self.count,
        }
        return {name: value for name, value in terms.items() if value is not None}


_NAMES = {"timeZone": "--tz", "start": "--from", "end": "--to"}


def _flags(members: dict[str, Any]) -> str:
    return " and ".join(_NAMES.get(name, f"--{name}") for name in members)
