"""What a job store promises.

Its verbs are batch-shaped, atomic and without policy; `tests/contract` is this page as tests.

Jobs that are not done live in one place, history in another. The run that ends a job for good takes the job with it:
its row of history then also holds what the job was, and a done job is read from there. So what is due is never searched
among what is over, and old history is forgotten by the day, done jobs with it.

Every verb raises `StoreUnavailableError` when the store does not answer (in time); then nothing is known of a write.
Due is judged by the store's own clock. All moments are aware datetimes in UTC.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from mainspring.job import (
    Cap,
    Change,
    Claim,
    Counts,
    Edit,
    Entry,
    Held,
    Job,
    JobFilter,
    JobKey,
    Position,
    Pressure,
    Progress,
    Receipt,
    Run,
    RunFilter,
    Scope,
    Strain,
    Told,
)
from mainspring.store.facts import Answer, Capped, Claimed, Due, NodeBeat, Pulse, Seen, Waits


class JobStore(Protocol):
    """Jobs, as those who schedule them see them."""

    async def add(self, jobs: Sequence[Job], unrun: Sequence[Run] = (), receipt: Receipt | None = None) -> None:
        """Write new jobs that are not done, and rows of history with them, all or none; durable when this returns.

        Here and in other verbs a `receipt` is written in the same commit. `ReceiptTakenError` is raised, and nothing is
        written, where one is there under its id. Raises `ConflictError` when an id exists among jobs that are not done,
        and `KeyTakenError` when another such job of the group has the key of one of them, or they have the same. Calls
        at the same time may share a commit; one that is refused takes no other with it.
        """

    async def add_named(self, job: Job, unrun: Sequence[Run] = ()) -> bool:
        """Write a new job like `add`, unless a job has its id, a done one too; answer whether it was written."""

    async def add_slices(
        self, slices: AsyncIterator[Sequence[Edit]], receipt: Callable[[], Receipt] | None = None
    ) -> None:
        """Write new jobs with their rows of history as they come, like `add` all or none.

        The receipt is asked for when all have come. So thousands need not be in memory at once. What `slices` raises is
        raised, and nothing is written.
        """

    async def get(self, job_id: UUID) -> Job | None:
        """Return the job, done ones too, or `None`. Only here and in `page` does a job come with its `last_run`."""

    async def page(self, key: JobKey, which: JobFilter, *, after: Position | None, limit: int) -> list[Job]:
        """Return up to `limit` jobs of the group that pass the filter and have no parent, from beyond `after` on.

        The filter wants either pending jobs, which come by due time and id, or done ones, which come from the one that
        ended last.
        """

    async def labelled(self, scope: Scope, label: str, most: int) -> int:
        """Return how many jobs of a group, a product or all have a label, counted up to `most`; done ones too."""

    async def find(
        self, scope: Scope, which: JobFilter, ranges: Sequence[tuple[str, str]], *, after: Position | None, limit: int
    ) -> list[Job]:
        """Return up to `limit` jobs of a group, a product or all that pass the filter, like `page`.

        It looks at those that have a label in one of the `ranges`, or an id that begins with the filter's prefix.
        """

    async def on_node(self, scope: Scope, node: str) -> list[Job]:
        """Return the jobs of a group, a product or all that run on a node, by due time and id."""

    async def ids(self, key: JobKey, which: JobFilter, *, after: Position | None) -> bytes:
        """Return the ids, 16 bytes each, of all pending jobs that `page` would list one after the other."""

    async def some(self, ids: Sequence[UUID]) -> list[Job]:
        """Return those of these jobs that are not done, in any order."""

    async def counts(self) -> dict[JobKey, Counts]:
        """Return how many jobs of each group there are. What that costs does not grow with their number."""

    async def request_bytes(self, scope: Scope) -> int:
        """Return how many bytes the requests of those jobs of a group or a product have that are not done, as stored.

        That reads all of them, and may take seconds; it stops nobody who writes.
        """

    async def spend(self, product: str, name: str, cost: timedelta, most: timedelta) -> timedelta | None:
        """Move a moment of a product on by `cost`, from the store's time if it is past; `None` if that was done.

        Nothing is done if the moment would be ahead of the time by more than `most`: then answer how long it is until
        it would not, if nobody else spends; with a cost beyond `most` too. A cost below zero gives back. Moments are
        among the `rates` of the product, and are forgotten once they are past.
        """

    async def update(
        self, job: Job, unrun: Sequence[Run] = (), added: Sequence[Job] = (), receipt: Receipt | None = None
    ) -> bool:
        """Write an edited job that is not done if its version is still the one before, ``job.version - 1``.

        With it rows of history are written, which get new numbers, and new jobs. Answer whether it was. Raises
        `KeyTakenError` like `add`.
        """

    async def amend(self, job: Job) -> bool:
        """Write the request, trigger and options of a done job if its version is still the one before.

        Answer whether it was.
        """

    async def revive(self, job: Job, unrun: Sequence[Run] = (), receipt: Receipt | None = None) -> bool:
        """Write a job that was done and no longer is, if its version is still the one before; answer whether it was.

        With it rows of history are written, which get new numbers. Raises `KeyTakenError` like `add`.
        """

    async def cancel(self, job: Job) -> bool:
        """Write a running job whose run is to be cancelled, as `update` does, and have its node asked to stop it."""

    async def end(self, job: Job, run: Run) -> bool:
        """Write a job that does not run as done if its version is still the one before; answer whether it was.

        `run` is the row of history that says how; it gets a new number.
        """

    async def keep(self, receipt: Receipt) -> None:
        """Write a receipt by itself. Raises `ReceiptTakenError`."""

    async def receipt(self, id_: bytes) -> Receipt | None:
        """Return a receipt that is not older than `KEPT_FOR`; an older one is forgotten by this."""

    async def with_keys(self, key: JobKey, keys: Collection[str]) -> list[Job]:
        """Return the jobs of a group that have any of these keys and are not done, in any order."""

    async def waiting(self, awaited: UUID) -> list[Job]:
        """Return the jobs that are not done and wait for another."""

    async def ended_waits(self, limit: int) -> Waits:
        """Return up to `limit` jobs that others wait for and that are over, where these have not heard of it.

        A job is over when it is done, or was deleted.
        """

    async def know(self, awaited: UUID) -> None:
        """Note that all that wait for a job have heard of its end; until it is `revive`d, and is over again."""

    async def resumable(self, limit: int) -> list[Job]:
        """Return up to `limit` paused jobs whose `resume_at` has come."""

    async def delete(self, job: Job, run: Run | None) -> bool:
        """Delete the job if its version is still `job`'s, and with it write `run`, the row of a run that this ends.

        The rows of its history stay, without what the job was. If it has children they are to follow: see `deletions`.
        """

    async def delete_children(self, parent: UUID, why: str, limit: int) -> bool:
        """Delete up to `limit` of the jobs that were taken out of a job; answer whether there may be more.

        Runs of theirs that are under way end as cancelled, with `why` as the reason, and their nodes are to stop them.
        """

    async def deletions(self) -> list[UUID]:
        """Return the jobs that were deleted and whose children are not all deleted yet."""

    async def recurring(self, after: UUID | None, limit: int, *, calendar: str | None = None) -> list[Job]:
        """Return up to `limit` jobs of all groups that are not done and recur, by id, from beyond `after` on.

        With `calendar` only those that keep to the calendar of that name.
        """

    async def count_recurring(self, calendar: str) -> int:
        """Return how many jobs `recurring` has for a calendar."""

    async def children(self, parent: UUID) -> list[Job]:
        """Return the jobs that were taken out of this one and are not over."""


class RunStore(Protocol):
    """Jobs that run, as nodes see them, and the history of runs."""

    async def claim(
        self,
        node: str,
        demand: Mapping[JobKey, int],
        limit: int,
        ahead: timedelta = timedelta(),
        notes: int | None = None,
    ) -> Claimed:
        """Take due jobs for a living `node`: per group at most its demand, in all at most `limit`.

        Groups are served in the order of `demand`; of a group the jobs of the highest `rank` come first, of these the
        earliest due. Eligible is what is scheduled and due by the store's clock, or will
        be within `ahead`. Each claimed job is running, has a new run number (the fence, from one rising sequence) and
        one more attempt, and its version is raised. No two claims ever get the same job. A node that has not joined, or
        was buried, gets nothing. Nor does one that goes by older `notes` (by their number, see `noted`) than the last
        pause; one that goes by older notes than there are gets no jobs with a schedule, which may keep to a calendar.

        A job whose row cannot be read comes with its `damage`. Rows of a later format than this version knows are left.
        """

    async def claim_capped(
        self,
        node: str,
        key: JobKey,
        most: int,
        caps: Sequence[Cap],
        ahead: timedelta = timedelta(),
        notes: int | None = None,
    ) -> Capped:
        """Claim up to `most` jobs of one group like `claim`, as many as limits and rates let begin: see `job.Gate`.

        Whoever claims by limits, of groups of one product, does so one after the other: all of them count what the one
        before has claimed. A run counts until its end is written, also if its node is dead. `Claimed.next_due` is not
        told.
        """

    async def unclaim(self, jobs: Sequence[Job]) -> None:
        """Undo claims of jobs that did not begin, if they still have that run.

        They wait as before, with the attempt that they had before, also if they were edited meanwhile. Their versions
        are raised, and the run numbers are used up. Those that are being cancelled are left as they are.
        """

    async def holding(self, node: str) -> list[Claim]:
        """Return all that a node has claimed and not finished: who never heard the answer of a claim asks this."""

    async def next_due(self, keys: Collection[JobKey]) -> Due | None:
        """Return when the earliest scheduled job of these groups is due, `None` if there is none."""

    async def finish(self, changes: Sequence[Change]) -> list[Answer]:
        """Write what jobs became when their runs ended, each with its row of history, in one commit.

        A change is written only if its job still has that run and the version before, ``job.version - 1``. The answers,
        in order: DONE, also for a change that had been written already by a call whose answer was lost; STALE, the run
        is still this one but the job was edited; LOST, the run is no longer the job's. STALE and LOST change nothing.

        Jobs that a change has `added` are written in the same commit, but for those that are there or were, and those
        whose key another job of the group has.

        A job with a parent is not kept as a done one: its rows of history are its parent's. Unless it is a backfill,
        the parent takes over its outcome.
        """

    async def put_progress(self, progress: Mapping[int, Progress]) -> None:
        """Write how far runs are that are under way, by their numbers; no version is raised by it."""

    async def split_off(self, job: Job, child: Job, unrun: Sequence[Run]) -> bool:
        """Write a running job that gives its run to a `child` and waits for its next occurrence, and that child.

        As with `update`, if its version is still the one before; answer whether it was.
        """

    async def orphans(self, keys: Collection[JobKey], limit: int) -> list[Job]:
        """Return running jobs of these groups whose node has no row: it was buried, left them, or never came back."""

    async def runs(self, key: JobKey, job_id: UUID | None, *, before: int | None, limit: int) -> list[Run]:
        """Return history, newest first: of one job or of the whole group, of runs numbered below `before`."""

    async def history(self, key: JobKey, which: RunFilter, *, before: int, limit: int, scan: int) -> Seen:
        """Return up to `limit` runs of a group that pass a filter, newest first, of those numbered below `before`.

        At most `scan` runs are looked at.
        """

    async def run(self, key: JobKey, job_id: UUID, number: int) -> Run | None:
        """Return a run of a job with its result, traceback and log, or `None`. No other verb tells these."""

    async def ahead(self, job: Job, limit: int) -> int:
        """Return how many jobs of the group of a job are due before it, or rank above it, counted up to `limit`."""

    async def running(self) -> list[Held]:
        """Return what all runs under way hold, in the order of their numbers."""

    async def rates(self, product: str) -> dict[str, datetime]:
        """Return when the rates of a product let the next job begin, by their names: see `job.Gate`.

        The moments that `spend` moves are among them.
        """

    async def pressures(self, product: str, keys: Collection[str] | None = None) -> dict[str, Strain]:
        """Return what is known of the services behind these keys of a product, or behind all of which anything is."""

    async def swap_pressure(self, product: str, key: str, before: Pressure | None, after: Pressure | None) -> bool:
        """Write what is known of a service, if what was known is still `before`; answer whether it was."""

    async def prune(self, older_than: timedelta) -> bool:
        """Forget history, and with it done jobs, of days (UTC) that ended longer ago than that.

        Answer whether there may be more: it is done in bites. Also prepares the store for the days to come.
        """

    async def prune_group(self, key: JobKey, older_than: timedelta) -> bool:
        """Forget history of a group, and with it done jobs, that ended longer ago than that.

        Answer whether there may be more: it is done in bites.
        """


class NoteStore(Protocol):
    """What all nodes share besides jobs."""

    async def notes(self, kind: str) -> dict[str, Any]:
        """Return what was noted under a kind, by name: JSON values that all nodes share."""

    async def note(self, kind: str, name: str, value: Any, entry: Entry | None = None) -> bool:
        """Note a JSON value, or with ``None`` that there is none any more; answer whether there was one before.

        Each node hears with its next beat that there is something new. With it an `entry` of the feed is written.
        """

    async def swap_note(self, kind: str, name: str, before: Any, value: Any, entry: Entry | None = None) -> bool:
        """Write a note, with `None` delete it, if its value is still `before`, `None` if there is to be none.

        With it an `entry` of the feed is written. Answer whether it was.
        """

    async def noted(self) -> int:
        """Return a number that rises with every note by which nodes decide: all but those of `QUIET_KINDS`."""


class FeedStore(Protocol):
    """What happened, for those who follow.

    Verbs write their entries themselves, in the commit of what these tell: jobs that were added, changed and deleted,
    runs that began and ended, nodes that came and went.
    """

    async def events(self, after: int | None, limit: int, scopes: Collection[Scope] | None = None) -> Told:
        """Return up to `limit` entries from beyond the number `after` on, in the order of their numbers.

        An entry gets its number after its commit, and no entry ever gets a lower one than one that was read: whoever
        goes on from the last that was seen misses nothing. With `scopes` entries of other job groups are left out. With
        `after` `None` no entry is returned, and the number of the last one that is there is what was `seen`.
        """

    async def labels_of(self, ids: Collection[UUID]) -> dict[UUID, set[str]]:
        """Return the labels of jobs that have any, done ones too."""

    async def prune_events(self) -> bool:
        """Forget entries older than `EVENTS_KEPT_FOR`, in bites; answer whether there may be more."""


class NodeStore(Protocol):
    """Nodes, as they see one another."""

    async def join(self, node: NodeBeat) -> None:
        """Write the row of a node that begins its life. Raises `ConflictError` when its name is not new."""

    async def beat(self, node: str) -> Pulse:
        """Raise the node's beat, and return what it must know. May be called from an event loop of its own.

        It shares no connection with other verbs, so that a store that is busy for others is not so for this.
        """

    async def nodes(self) -> list[NodeBeat]:
        """Return all nodes that have a row, by name."""

    async def show_stuck(self, node: str, groups: Sequence[JobKey]) -> None:
        """Write of which groups a node has no thread left for plain functions."""

    async def leave(self, node: str) -> None:
        """Delete the row of a node that ends its life; whatever it still runs becomes orphans."""

    async def bury(self, node: NodeBeat) -> bool:
        """Delete the row of a node if its beat is still that; answer whether it was.

        Its running jobs become orphans.
        """


class Store(JobStore, RunStore, NoteStore, FeedStore, NodeStore, Protocol):
    """A job store."""

    durable: bool
    """Whether jobs survive the end of the process."""
    shared: bool
    """Whether several processes may use it at once. If not, whoever opened it knows that no other node lives."""

    async def open(self) -> None:
        """Connect and check the schema. Raises `ConfigError` (its `SchemaError` names the command that helps).

        And `StoreUnavailableError` if the store cannot be reached: that may pass.
        """

    async def close(self) -> None:
        """Let go of everything. Closing twice is harmless."""

    def watch(self, notice: Callable[[datetime], None]) -> None:
        """Call `notice`, on the loop that opened the store, after writes that leave jobs scheduled.

        It is told their earliest due time. Writes of this process are told always, those of others when they are due
        soon and if nothing is in the way. A hint: polling is the truth.
        """

    async def now(self) -> datetime:
        """Return the store's time."""
