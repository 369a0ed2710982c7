"""``mainspring db``: look after the schema of the job store."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mainspring.cli.flags import SettingsCommand, commands, settings_of, with_settings
from mainspring.cli.output import plain

app = commands("Look after the schema of the job store.")


@app.command(cls=SettingsCommand)
@with_settings("store")
def upgrade(
    *,
    force: Annotated[bool, typer.Option("--force", help="Upgrade it even while nodes work with it.")] = False,
    **flags: Any,
) -> None:
    """Make the schema or bring it up to date."""
    from mainspring.launch import compose

    typer.echo(compose.db_upgrade(settings_of(flags), force=force))


@app.command(cls=SettingsCommand)
@with_settings("store")
def check(**flags: Any) -> None:
    """Say whether a service or node could use the store."""
    from mainspring.launch import compose

    typer.echo(compose.db_check(settings_of(flags)))


@app.command(cls=SettingsCommand)
@with_settings("store")
def rebuild(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    **flags: Any,
) -> None:
    """Delete everything and create an empty store."""
    from rich.prompt import Confirm

    from mainspring.launch import compose

    settings = settings_of(flags)
    question = f"All jobs and all history in {plain(settings.store_shown)} will be gone. Rebuild?"
    if not yes and not Confirm.ask(question, default=False):
        raise typer.Abort
    typer.echo(compose.db_rebuild(settings))


@app.command("enqueue-role")
def enqueue_role(role: Annotated[str, typer.Argument(help="The role, which is there already.")]) -> None:
    """Print the SQL that lets a role create jobs with mainspring.enqueue, and nothing else."""
    from mainspring.store.enqueued import grants

    typer.echo(grants(role))
