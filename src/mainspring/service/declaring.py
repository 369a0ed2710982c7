"""The use case of whoever starts: to see that the recurring jobs are there that settings and plugins declare.

What was declared last is kept as a note beside each job. So a job is changed only where its declaration was changed:
what people changed of it meanwhile, its history and its next time stay. Each step can be done twice, by several at
once, and be cut off in the middle: ids come from names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mainspring.errors import JobExistsError, JobFinishedError, NotFoundError
from mainspring.job import Declaration
from mainspring.store import Store

if TYPE_CHECKING:
    from mainspring.service.jobs import SchedulerService

DECLARED = "declared"
"""The kind of notes that say what was declared last of each job, by its name."""


class Declared(NamedTuple):
    """What became of a declared job: it was ``created``, ``changed``, ``resumed`` or ``paused``."""

    name: str
    what: str


class Declaring:
    """Has the jobs follow their declarations."""

    def __init__(self, jobs: SchedulerService, store: Store) -> None:
        self._jobs = jobs
        self._store = store

    async def adopt(self, source: str, declarations: Sequence[Declaration]) -> list[Declared]:
        """Create and change jobs as `source` declares them, and pause those that it declares no more.

        Answer what was done. A job that was deleted by hand, or is done, stays so until its declaration is changed.
        Raises `KeyTakenError` where a job has the key that was created by hand.
        """
        known = await self._store.notes(DECLARED)
        done = []
        for declaration in declarations:
            if self._jobs.knows(declaration.key):
                what = await self._follow(source, declaration, known.get(str(declaration)))
                done += [] if what is None else [Declared(str(declaration), what)]
        here = {str(declaration) for declaration in declarations}
        for name, note in known.items():
            if note["source"] == source and name not in here and not note["gone"] and await self._pause(name, note):
                done.append(Declared(name, "paused"))
        return done

    async def _follow(self, source: str, declaration: Declaration, note: Mapping[str, Any] | None) -> str | None:
        after = {"source": source, "id": str(declaration.job_id), "body": declaration.body, "gone": False}
        if note == after:
            return None
        what = await (self._create(declaration) if note is None else self._change(declaration, note))
        await self._store.note(DECLARED, str(declaration), after)
        return what

    async def _create(self, declaration: Declaration) -> str | None:
        try:
            _, is_new = await self._jobs.put_job(declaration.key, declaration.job_id, declaration.body)
        except JobExistsError:  # another has created it by another declaration, and has not noted it yet
            job = await self._jobs.get_job(declaration.key, declaration.job_id)
            return await self._change(declaration, {"body": job.request, "gone": False})
        return "created" if is_new else None

    async def _change(self, declaration: Declaration, note: Mapping[str, Any]) -> str | None:
        key, job_id = declaration.key, declaration.job_id
        patch = difference(note["body"], declaration.body)
        try:
            if patch:
                await self._jobs.change_job(key, job_id, patch)
            if note["gone"]:
                await self._jobs.control.resume_job(key, job_id)
        except NotFoundError:
            return await self._create(declaration) if patch else None
        except JobFinishedError:
            return None
        if note["gone"]:
            return "resumed"
        return "changed" if patch else None

    async def _pause(self, name: str, note: Mapping[str, Any]) -> bool:
        declaration = _read(name, note)
        is_there = True
        try:
            await self._jobs.control.pause_job(
                declaration.key, declaration.job_id, {"reason": f"it is no longer declared in {note['source']}"}
            )
        except (NotFoundError, JobFinishedError):
            is_there = False
        await self._store.note(DECLARED, name, {**note, "gone": True} if is_there else None)
        return is_there


def _read(name: str, note: Mapping[str, Any]) -> Declaration:
    product, job_group, own = name.split("/")
    return Declaration(name=own, product=product, job_group=job_group, schedule=note["body"]["schedule"])


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch (RFC 7396) that makes `after` of `before`."""
    return dict(_differences(before, after))


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in before.keys() - after.keys():
        yield name, None
    for name, value in after.items():
        there = before.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            if patch := difference(there, value):
                yield name, patch
        elif json.dumps(value) != json.dumps(there) or name not in before:
            yield name, value
