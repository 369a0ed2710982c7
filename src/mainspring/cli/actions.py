"""``mainspring actions``: one thing is done to many jobs, planned first."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from mainspring.cli.control import Reason, Until, until_of
from mainspring.cli.exits import REFUSED
from mainspring.cli.filters import Which
from mainspring.cli.flags import commands
from mainspring.cli.form import Form, Raw, Watched
from mainspring.cli.output import complain, members, print_table
from mainspring.cli.plan import Plan
from mainspring.cli.scope import EVERYTHING, AnyScope
from mainspring.cli.service import Service
from mainspring.cli.tables import jobs_in

app = commands("Do one thing to many jobs of a running service.")

_Verb = Annotated[
    Literal["pause", "resume", "retry", "cancel", "delete", "reschedule"],
    typer.Argument(metavar="ACTION", help="pause, resume, retry, cancel, delete or reschedule."),
]
_COLUMNS = ("id", "action", "state", "total", "done", "failed")
_PARTICIPLES = {
    "pause": "paused",
    "resume": "resumed",
    "retry": "tried again",
    "cancel": "cancelled",
    "delete": "deleted",
    "reschedule": "moved",
}


@app.command("start")
def start_action(  # noqa: PLR0913 - each is a flag
    service: Service,
    form: Form,
    which: Which,
    verb: _Verb,
    scope: AnyScope = None,
    *,
    reason: Reason = None,
    until: Until = None,
    when: Annotated[str | None, typer.Option(metavar="TIME", help="With reschedule: the time of each.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only plan: say how many jobs there are.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to do what is planned.")] = False,
) -> None:
    """Do one thing to all jobs that flags name.

    First it is planned, and you are asked; a plan alone changes nothing.
    """
    names, terms = scope or EVERYTHING, _terms(verb, reason, until, when)
    plan = service.client.plan_action(verb, *names, which=which.filter(), terms=terms)
    if form.is_for_programs and dry_run:
        form.show({name: value for name, value in plan.raw.items() if name != "token"}, lambda _: None)
        return
    if not form.is_for_programs or not yes:
        _tell_plan(verb, plan.raw, form)
    if dry_run or not plan.count:
        return
    if not yes:
        _ask(verb)
    _finish(service, form, service.client.apply_action(plan.token, *names).raw)


@app.command("show")
def show_action(
    service: Service,
    form: Watched,
    action_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the action.")],
) -> None:
    """Show how far an action is."""
    form.follow(lambda: service.client.action(action_id).raw, _print_actions)


def _terms(verb: str, reason: str | None, until: str | None, when: str | None) -> dict[str, Any]:
    if verb != "pause" and (reason is not None or until is not None):
        raise typer.BadParameter("--reason and --until belong to pause alone")
    if (verb == "reschedule") != (when is not None):
        raise typer.BadParameter("reschedule needs --when" if when is None else "--when belongs to reschedule alone")
    if when is not None:
        return Plan(when=when).patch({})
    said = {"reason": reason, "until": until_of(until)}
    return {name: value for name, value in said.items() if value is not None}


def _tell_plan(verb: str, plan: Raw, form: Form) -> None:
    """Say on stderr how many jobs there are, and show the first of them."""
    count = plan.get("count") or 0
    about = "about " if plan.get("estimated") else ""
    complain(
        f"{about}{_number(count)} would be {_PARTICIPLES[verb]}{':' if plan.get('examples') else '.'}".capitalize()
    )
    if examples := plan.get("examples"):
        jobs_in(form, groups=True)([*examples])
        if count > len(examples):
            complain(f"and {count - len(examples)} more.")


def _ask(verb: str) -> None:
    if not sys.stdin.isatty():
        complain(f"Nothing is done: nobody can be asked here. --yes does it ({verb}), --dry-run only plans.")
        raise typer.Exit(REFUSED)
    if not typer.confirm("Go on?", err=True):
        raise typer.Exit(REFUSED)


def _finish(service: Service, form: Form, action: Mapping[str, Any]) -> None:
    form.show(action, _print_actions)
    if action.get("state") != "done" and not form.is_for_programs:
        complain(f"It goes on: mainspring actions show {action.get('id')} --watch")
    if action.get("failed"):
        service.fail(REFUSED)


def _print_actions(actions: list[Raw]) -> None:
    print_table(_COLUMNS, members(actions, _COLUMNS))
    for action in actions:
        for error in action.get("errors") or ():
            complain(f"{error.get('id')}: {error.get('detail')} ({error.get('code')})")


def _number(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
