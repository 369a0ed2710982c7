"""``mainspring nodes``: look at the nodes of a running service, and drain them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from mainspring.cli import candidates
from mainspring.cli.exits import REFUSED
from mainspring.cli.flags import commands
from mainspring.cli.form import Form, Raw, Watched
from mainspring.cli.output import complain, print_table
from mainspring.cli.service import Service

app = commands("Look at the nodes of a running service, and drain them.")

_Nodes = Annotated[
    list[str],
    typer.Argument(metavar="NODE", help="Names of nodes, or how each begins.", autocompletion=candidates.nodes),
]
_COLUMNS = ("node", "host", "running", "slots", "state")


@app.command("list")
def list_nodes(service: Service, form: Watched) -> None:
    """List the nodes, with what each runs."""
    form.follow(service.client.nodes, lambda nodes: print_nodes(nodes, form))


@app.command("drain")
def drain_nodes(service: Service, form: Form, nodes: _Nodes) -> None:
    """Have nodes begin no more jobs; what they run goes on."""
    _each(service, form, nodes, service.client.drain)


@app.command("resume")
def resume_nodes(service: Service, form: Form, nodes: _Nodes) -> None:
    """Let drained nodes begin jobs again."""
    _each(service, form, nodes, service.client.resume_node)


def print_nodes(nodes: list[Raw], form: Form) -> None:
    """Print a line for each node."""
    columns = (*_COLUMNS, "groups") if form.is_wide else _COLUMNS
    rows = [{**node, "state": state_of(node), "groups": _groups(node, "groups")} for node in nodes]
    print_table(
        columns, [[row.get(column) for column in columns] for row in rows], fit="all" if form.is_wide else "fold"
    )


def state_of(node: Raw) -> str:
    """Say in a word or two how a node is."""
    if not node.get("connected"):
        return "away"
    if stuck := _groups(node, "stuck"):
        return f"stuck: {stuck}"
    return "drained" if node.get("isDrained") else "ok"


def _groups(node: Raw, member: str) -> str:
    return ", ".join(f"{group.get('product')}/{group.get('jobGroup')}" for group in node.get(member) or ())


def _each(service: Service, form: Form, names: list[str], do: Callable[[str], Any]) -> None:
    found = [do(node) for node in _resolved(service, names)]
    form.show(found[0] if len(names) == 1 and found else found, lambda nodes: print_nodes(nodes, form))


def _resolved(service: Service, names: list[str]) -> Iterator[str]:
    """Return the nodes that are meant; what names none, or several, is told, and the others go on."""
    there = [str(node.get("node")) for node in service.client.nodes()]
    for name in names:
        fits = [name] if name in there else [node for node in there if name and node.startswith(name)]
        if len(fits) == 1:
            yield fits[0]
            continue
        near = get_close_matches(name, there)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(there) or 'none'}"
        several = f"the names of several nodes begin with {name!r}: {', '.join(fits)}"
        complain(several if fits else f"there is no node {name!r}{hint}")
        service.fail(REFUSED)
