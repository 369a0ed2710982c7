"""What a command is about: a job group, a product or everything, and single jobs by their ids."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

import typer

from mainspring.cli.candidates import groups, job_ids, scopes

SHORTEST_ID = 6
"""With how many characters an id may be begun."""
WHOLE_ID = 36
_EVERYTHING = "*"
_SEGMENTS = 2


class Scope(NamedTuple):
    """A job group; a product, if no group is named; everything, if no product is."""

    product: str | None = None
    job_group: str | None = None

    def __str__(self) -> str:
        """As it is written on the command line."""
        return "/".join(filter(None, self)) or _EVERYTHING


EVERYTHING = Scope()


def scope_of(text: str) -> Scope:
    """Read ``*``, a product such as ``vps4`` or ``vps4/*``, or a job group. Raises `typer.BadParameter`."""
    if text in {_EVERYTHING, f"{_EVERYTHING}/{_EVERYTHING}"}:
        return EVERYTHING
    names = text.removesuffix(f"/{_EVERYTHING}").split("/")
    if not 1 <= len(names) <= _SEGMENTS or not all(map(_is_name, names)):
        raise typer.BadParameter(
            f"{text!r} is not a product such as vps4, a job group such as vps4/backups, or * for everything"
        )
    return Scope(*names)


def group_of(text: str) -> Scope:
    """Read a job group. Raises `typer.BadParameter`."""
    names = text.split("/")
    if len(names) != _SEGMENTS or not all(map(_is_name, names)):
        raise typer.BadParameter(f"{text!r} is not a product and a job group such as vps4/backups")
    return Scope(*names)


def level_of(text: str) -> Scope:
    """Read a job group or a product. Raises `typer.BadParameter`."""
    scope = scope_of(text)
    if scope.product is None:
        raise typer.BadParameter(f"{text!r} is not a product such as vps4, or a job group such as vps4/backups")
    return scope


def _is_name(text: str) -> bool:
    """Whether a service could have something of that name; other text would lead to another path."""
    return text not in {"", ".", "..", _EVERYTHING} and not re.search("[\ud800-\udfff]", text)


def check_ids(ids: list[str]) -> list[str]:
    """Return ids, or what they begin with, in small letters. Raises `typer.BadParameter` with all that are none."""
    found = [text.lower() for text in ids]
    wrong = [repr(text) for text in found if not _BEGINNING.fullmatch(text) or len(text) > WHOLE_ID]
    if wrong:
        what = "is not the id of a job" if len(wrong) == 1 else "are not ids of jobs"
        raise typer.BadParameter(
            f"{', '.join(wrong)} {what}: write it in full, as in 019d0f7c-5b7e-7c3a-8000-000000000001, "
            f"or at least its first {SHORTEST_ID} characters",
            param_hint="'ID'",
        )
    return found


_BEGINNING = re.compile(rf"[0-9a-f]{{{SHORTEST_ID}}}[0-9a-f-]*")

Group = Annotated[
    Scope,
    typer.Argument(
        parser=group_of,
        metavar="PRODUCT/GROUP",
        help="Product and job group, as in vps4/backups.",
        autocompletion=groups,
    ),
]
JobScope = Annotated[
    Scope,
    typer.Argument(
        parser=scope_of,
        metavar="PRODUCT/GROUP",
        help="Product and job group of the job; PRODUCT/* or * looks for it in several.",
        autocompletion=groups,
    ),
]
Level = Annotated[
    Scope,
    typer.Argument(
        parser=level_of, metavar="PRODUCT[/GROUP]", help="A product, or a job group.", autocompletion=scopes
    ),
]
AnyScope = Annotated[
    Scope | None,
    typer.Argument(
        parser=scope_of,
        metavar="PRODUCT[/GROUP]",
        help="A job group, a product as PRODUCT or PRODUCT/*, or * for everything. [default: everything]",
        autocompletion=scopes,
    ),
]
JobId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help=f"Id of the job, or its first {SHORTEST_ID} or more characters.", autocompletion=job_ids
    ),
]
JobIds = Annotated[
    list[str],
    typer.Argument(
        metavar="ID",
        help=f"Ids of jobs, or the first {SHORTEST_ID} or more characters of each.",
        autocompletion=job_ids,
    ),
]
