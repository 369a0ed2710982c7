"""The checker: from what jobs recorded, what clients were told and what the store says, to all that cannot be right.

Pure functions over one `Story`. Each mark carries the number of its run and each row of history too, so that matching
is a join and nothing has to be guessed. The names of the invariants are those of `docs/proof.md`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from prove.ledger import Ledger, RunRow
from prove.record import Mark

CLOCK_GRAIN = 0.001
"""Seconds by which two readings of a slewed clock may differ without anything being early."""
AGAIN = frozenset({"lost", "interrupted", "failed", "timed_out", "postponed"})
"""The outcomes after which another attempt is right."""
FINAL = frozenset({"succeeded", "vetoed", "skipped", "cancelled"})
"""The outcomes after which none is."""
NEVER = float("inf")


class Violation(NamedTuple):
    """Something that must not be: which rule, of what (a job, a run, a node), and what was seen."""

    rule: str
    subject: str
    detail: str


class Recovery(NamedTuple):
    """How long after its process died, or was paused, a lost run began again, in seconds."""

    seconds: float
    paused: bool


@dataclass(frozen=True)
class Story:
    """All that is known of a trial whose cluster has come to rest.

    Moments are `prove.record.boot`. `births`, `deaths` and `pauses` are by process id: when it began to run jobs, when
    it ended, and from when to when it was stopped or cut off from the store. `places` says which process had a node's
    name, up to the colon.
    """

    marks: tuple[Mark, ...]
    ledger: Ledger
    acked: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    perhaps_deleted: frozenset[str] = frozenset()
    at_most_once: frozenset[str] = frozenset()
    births: Mapping[int, float] = field(default_factory=dict)
    deaths: Mapping[int, float] = field(default_factory=dict)
    pauses: Mapping[int, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    places: Mapping[str, int] = field(default_factory=dict)
    wall_offset: float = 0.0

    @cached_property
    def starts(self) -> tuple[Mark, ...]:
        """The marks of runs that began."""
        return tuple(mark for mark in self.marks if mark.what == "start")

    @cached_property
    def ends(self) -> dict[int, Mark]:
        """The marks of runs that came to an end of their own, by run."""
        return {mark.run: mark for mark in self.marks if mark.what != "start"}

    @cached_property
    def rows(self) -> dict[int, RunRow]:
        """History by run."""
        return {row.number: row for row in self.ledger.runs}

    @cached_property
    def history(self) -> dict[str, list[RunRow]]:
        """History by occurrence, in the order of the runs."""
        found: dict[str, list[RunRow]] = defaultdict(list)
        for row in sorted(self.ledger.runs):
            found[row.occurrence].append(row)
        return found

    @cached_property
    def begun(self) -> dict[str, list[Mark]]:
        """The marks of runs that began, by occurrence, in the order of their attempts."""
        found: dict[str, list[Mark]] = defaultdict(list)
        for mark in sorted(self.starts, key=lambda mark: (mark.attempt, mark.boot)):
            found[mark.occurrence].append(mark)
        return found

    def pid(self, node: str) -> int | None:
        """Return the process that had a node's name."""
        return self.places.get(node.partition(":")[0])

    def over_at(self, mark: Mark) -> float:
        """Return when a run that began was over: by its own end, or with its process."""
        end = self.ends.get(mark.run)
        return end.boot if end else self.deaths.get(mark.pid, NEVER)

    def survived_at(self, moment: float, dead: int) -> float:
        """Return the first moment from this one on at which a process other than the dead one was there to run jobs."""
        others = [
            (born, self.deaths.get(pid, NEVER)) for pid, born in self.births.items() if pid != dead and born < NEVER
        ]
        if any(born <= moment < died for born, died in others) or not others:
            return moment
        return min([born for born, _ in others if born > moment], default=moment)

    def was_paused(self, pid: int, since: float, until: float) -> bool:
        """Tell whether a process was paused or cut off at some time in between."""
        return any(begin <= until and since <= end for begin, end in self.pauses.get(pid, ()))


Rule = Callable[[Story], Iterator[Violation]]


def check(story: Story) -> list[Violation]:
    """Return all violations of a story."""
    return [violation for rule in RULES for violation in rule(story)]


def accepted_jobs_are_there(story: Story) -> Iterator[Violation]:
    """I-8: each accepted job is in the store, or was deleted by somebody; one that was deleted is gone."""
    pending = {job.job for job in story.ledger.pending}
    there = pending | {row.job for row in story.ledger.runs}
    for job in sorted(story.acked - story.deleted - story.perhaps_deleted - there):
        yield Violation("I-8", job, "was accepted and is lost: the store has neither the job nor a run of it")
    for job in sorted(story.deleted & pending):
        yield Violation("I-8", job, "was deleted and is still there")


def accepted_jobs_have_ended(story: Story) -> Iterator[Violation]:
    """P8: in a cluster that has come to rest each occurrence has run, or history says why not."""
    for job in story.ledger.pending:
        if job.job in story.acked and job.job not in story.deleted:
            yield Violation("P8", job.job, f"is still {job.state} (attempt {job.attempt}, run {job.run}, {job.node})")


def attempts_start_once(story: Story) -> Iterator[Violation]:
    """P3: no attempt starts twice, in the whole cluster."""
    times = Counter((mark.job, mark.occurrence, mark.attempt) for mark in story.starts)
    for (job, _, attempt), count in times.items():
        if count > 1:
            yield Violation("P3", job, f"attempt {attempt} started {count} times")


def reruns_are_explained(story: Story) -> Iterator[Violation]:
    """P3: an attempt after the first follows a row of history that calls for it."""
    for occurrence, marks in story.begun.items():
        outcomes = {row.attempt: row.outcome for row in story.history.get(occurrence, ())}
        for mark in marks:
            if mark.attempt > 1 and (before := outcomes.get(mark.attempt - 1)) not in AGAIN:
                yield Violation("P3", mark.job, f"attempt {mark.attempt} started after one that is {before}")


def one_final_outcome(story: Story) -> Iterator[Violation]:
    """I-1: at most one run of an occurrence ends it, and none comes after."""
    for rows in story.history.values():
        for row in rows[:-1]:
            if row.outcome in FINAL:
                last = rows[-1]
                yield Violation(
                    "I-1", row.job, f"run {last.number} is {last.outcome} after run {row.number}: {row.outcome}"
                )


def fences_rise(story: Story) -> Iterator[Violation]:
    """I-2: no two attempts share a run number, and within an occurrence it rises with the attempt."""
    users: dict[int, set[tuple[str, int]]] = defaultdict(set)
    for mark in story.starts:
        users[mark.run].add((mark.occurrence, mark.attempt))
    for row in story.ledger.runs:
        users[row.number].add((row.occurrence, row.attempt))
    for run, attempts in users.items():
        if len(attempts) > 1:
            yield Violation("I-2", f"run {run}", f"is the number of {len(attempts)} attempts")
    for rows in story.history.values():
        attempts_in_order = [row.attempt for row in rows]
        if attempts_in_order != sorted(attempts_in_order):
            yield Violation(
                "I-2", rows[0].job, f"its runs {[row.number for row in rows]} are attempts {attempts_in_order}"
            )


def attempts_have_no_gaps(story: Story) -> Iterator[Violation]:
    """I-3 and I-7: the attempts of an occurrence are 1, 2, 3 and so on, each once; one that is skipped has none."""
    running = {job.occurrence: job.attempt for job in story.ledger.pending if job.state == "running"}
    for occurrence in {*story.history, *running}:
        rows = story.history.get(occurrence, [])
        attempts = [row.attempt for row in rows if row.attempt or row.outcome != "skipped"]
        attempts += [running[occurrence]] if occurrence in running else []
        job = rows[0].job if rows else occurrence
        if len(attempts) != len(set(attempts)):
            yield Violation("I-7", job, f"an attempt has two rows: {sorted(attempts)}")
        elif sorted(attempts) != list(range(1, len(attempts) + 1)):
            yield Violation("I-3", job, f"its attempts are {sorted(attempts)}")


def running_jobs_have_living_owners(story: Story) -> Iterator[Violation]:
    """I-4 and I-5: what runs has a run and a node that has a row; what does not run has neither."""
    for job in story.ledger.pending:
        if job.state == "running":
            if job.run is None or job.node not in story.ledger.nodes:
                yield Violation("I-4", job.job, f"is running as run {job.run} on {job.node}, which has no row")
        elif job.run is not None or job.node is not None:
            yield Violation("I-5", job.job, f"is {job.state} and has run {job.run} on {job.node}")


def history_is_the_truth(story: Story) -> Iterator[Violation]:
    """I-10: each run that began has its row, and each run that succeeded has really ended."""
    running = {job.run for job in story.ledger.pending}
    for mark in story.starts:
        if mark.run not in story.rows and mark.run not in running:
            yield Violation("I-10", mark.job, f"run {mark.run} began and history does not know it")
    ended = {run for run, mark in story.ends.items() if mark.what == "end"}
    for row in story.ledger.runs:
        if row.outcome == "succeeded" and row.number not in ended:
            yield Violation("I-10", row.job, f"run {row.number} succeeded and never ended")


def attempts_do_not_overlap(story: Story) -> Iterator[Violation]:
    """P4: an attempt begins when the one before is over, unless that one's node was paused, and history says lost."""
    for one, other in _overlaps(story):
        row = story.rows.get(one.run)
        if not _excused(story, one, other):
            over = story.over_at(one)
            yield Violation(
                "P4",
                one.job,
                f"attempt {other.attempt} began at {other.boot:.3f}, attempt {one.attempt} ended at {over:.3f}",
            )
        elif row is None or row.outcome != "lost":
            yield Violation("P4", one.job, f"attempt {one.attempt} was overlapped and history does not call it lost")


def excused_overlaps(story: Story) -> int:
    """Return how many attempts were overlapped because their node was paused or cut off."""
    return sum(_excused(story, one, other) for one, other in _overlaps(story))


def _excused(story: Story, one: Mark, other: Mark) -> bool:
    """Tell whether the node of the earlier attempt slept; it may have been stopped just before that attempt began."""
    return story.was_paused(one.pid, min(one.boot, other.boot), other.boot)


def _overlaps(story: Story) -> Iterator[tuple[Mark, Mark]]:
    for marks in story.begun.values():
        for one, other in pairwise(marks):
            if other.attempt > one.attempt and other.boot < story.over_at(one):
                yield one, other


def nothing_is_early(story: Story) -> Iterator[Violation]:
    """P9: no run begins before it is due, by the store's clock."""
    for mark in story.starts:
        row = story.rows.get(mark.run)
        if row is not None and (ahead := row.due - mark.boot - story.wall_offset) > CLOCK_GRAIN:
            yield Violation("P9", mark.job, f"run {mark.run} began {ahead:.3f} s before it was due")


def at_most_once_means_it(story: Story) -> Iterator[Violation]:
    """P4: a job that must not run twice began at most once."""
    times = Counter(mark.job for mark in story.starts if mark.job in story.at_most_once)
    for job, count in times.items():
        if count > 1:
            yield Violation("P4", job, f"may run at most once and began {count} times")


RULES: tuple[Rule, ...] = (
    accepted_jobs_are_there,
    accepted_jobs_have_ended,
    attempts_start_once,
    reruns_are_explained,
    one_final_outcome,
    fences_rise,
    attempts_have_no_gaps,
    running_jobs_have_living_owners,
    history_is_the_truth,
    attempts_do_not_overlap,
    nothing_is_early,
    at_most_once_means_it,
)


def ownerless_too_long(seen: Mapping[int, tuple[float, float]], *, lease: float) -> Iterator[Violation]:
    """I-6: nothing runs without a living owner for longer than the lease and 5 s.

    `seen` tells of each such run when it was first and last seen without an owner.
    """
    for run, (first, last) in seen.items():
        if last - first > lease + 5:
            yield Violation("I-6", f"run {run}", f"had no living owner for {last - first:.1f} s")


def recoveries(story: Story) -> list[Recovery]:
    """Return how long each lost run took to begin again.

    Counted from the moment that its process had died or was paused and another was there to take over, to the start of
    the first attempt that came to one: those that were handed back before it are a part of the wait.
    """
    begun = {(mark.occurrence, mark.attempt): mark.boot for mark in story.starts}
    handed_back = {(row.occurrence, row.attempt) for row in story.ledger.runs if row.outcome == "interrupted"}
    found = []
    for row in story.ledger.runs:
        attempt = row.attempt + 1
        while (row.occurrence, attempt) in handed_back and (row.occurrence, attempt) not in begun:
            attempt += 1
        again = begun.get((row.occurrence, attempt))
        pid = story.pid(row.node)
        if row.outcome != "lost" or again is None or pid is None:
            continue
        pauses = [begin for begin, _ in story.pauses.get(pid, ()) if begin <= again]
        died = story.deaths.get(pid, NEVER)
        since = min([died, *pauses])
        if since <= again:
            found.append(Recovery(again - story.survived_at(since, pid), paused=since < died))
    return found
