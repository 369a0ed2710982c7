"""Lives on the node's loop. Decides when to claim, how much, and starts what was claimed.

A claim whose answer was lost may have been done: until that is known for sure, the claimer looks for what its node
holds without knowing.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar
from uuid import UUID

from mainspring.clock import Clock, wait
from mainspring.errors import StoreUnavailableError, first_line
from mainspring.execution import AHEAD_SECONDS, Assignment
from mainspring.failpoint import fp
from mainspring.job import Cap, Claim, Ending, Job, JobKey, Outcome, Scope, caps_of, lifecycle, pauses_of, weight_of
from mainspring.node.dispatcher import Dispatcher
from mainspring.node.fairness import Fairness, Weights
from mainspring.node.lease import Lease
from mainspring.node.overlap import begin_beside, runs_beside
from mainspring.node.yielding import BATCH, Yielding
from mainspring.schedule import Once
from mainspring.settings import Settings
from mainspring.store import Claimed, Due, Notes, Store

T = TypeVar("T")

FRUITLESS_PAUSE = 0.02
"""Seconds to wait when something is due that cannot be had: others hold it for a moment, or its group has no room."""
IN_VAIN = 2
"""This many claims in a row must have found nothing before that: one may have come just before its job was due."""
DOUBT = 10.0
"""Seconds, from when the store answers again, for which a node looks for what it holds without knowing.

A statement that outlives its client ends well before that: its own limit is 2 s.
"""
AHEAD = timedelta(milliseconds=25)
"""Jobs are claimed up to this long before they are due, so that each can start on time.

At 200 jobs a second each claim brings several. A job that is claimed is running for everybody, so it is no more.
"""
LEAD = (0.005, 0.02)
"""How many seconds before a job is due it is claimed, at least and at most: twice what recent claims took."""
SLOW_SECONDS = 1.5
"""A group whose runs last this long leaves some slots to others, which would wait for it. So does one not known yet."""
MOST_BESIDES = 2 * BATCH
"""How many claimed jobs a node may hold besides those that have a slot: some wait to begin, some to be written."""


class Part(NamedTuple):
    """What one call brought, under which name the node claimed, and when the call was sent and answered."""

    claimed: Claimed
    life: str
    sent: float
    answered: float
    begins: Mapping[UUID, datetime] = {}
    """When jobs may begin that do so later than they are due."""


class Taken(NamedTuple):
    """What a claim brought, how much for each group, and whether there may be more.

    `next_due` is when its groups have something again, if no group may have more before that.
    """

    parts: Sequence[Part]
    got: Mapping[JobKey, int]
    is_full: bool = False
    next_due: Due | None = None

    @property
    def number(self) -> int:
        """How many jobs it brought."""
        return sum(len(part.claimed.claims) for part in self.parts)


_NOTHING = Taken((), {})
FULL_PAUSE = 0.05
"""Seconds after which a group is asked for again of which jobs are held back, if no run of this node ends before.

Places may be free by then; or there are jobs of another key, which is not full.
"""


class Claimer:
    """Claims due jobs of the groups that the dispatcher has lanes for."""

    def __init__(
        self,
        store: Store,
        notes: Notes,
        dispatcher: Dispatcher,
        lease: Lease,
        yielding: Yielding,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._store = store
        self._notes = notes
        self._dispatcher = dispatcher
        self._lease = lease
        self._yielding = yielding
        self._clock = clock
        self._poll = settings.poll.total_seconds()
        self._keys: deque[JobKey] = deque(dispatcher.keys)
        self._fairness = Fairness()

        self._woken = asyncio.Event()
        self._may_be_due = True
        self._in_vain = 0
        self._next_due: datetime | None = None
        self._store_time: tuple[datetime, float] | None = None
        """The store's time at a moment."""
        self._is_stopped = False
        self._in_doubt_until = -math.inf
        self._strays_at = -math.inf
        self._is_short = False
        self._last = _NOTHING
        self._rated: dict[JobKey, float] = {}
        """When rates let the next job begin, of groups of which they hold jobs back."""
        self._full: dict[JobKey, float] = {}
        """Until when groups are not asked for, of which others may begin before that, or at any time: see `Capped`."""
        self._room = 0
        """For how many jobs there was room when demand was told last."""
        self._rooms = 0
        """How often room has come."""
        self._hints = 0
        """How often a job has come that is due soon."""
        self._idle: dict[JobKey, float] = {}
        """Until when nothing is due of groups with limits, as far as is known: each would take a claim of its own."""
        self._lead = LEAD[0]
        dispatcher.on_low = self._woken.set
        store.watch(self.on_due_hint)

    # --- when

    async def turn(self) -> None:
        """Claim what is due for the free slots, else sleep until something is due or changes, but not past `poll`.

        A sleep that ended with nothing changed is followed by a look at the next due time, not by a claim: an idle node
        asks one question a turn. A claim that brought something tells when the next one is due.
        """
        self._woken.clear()
        self._next_due = None  # not known: until it is, whatever changes is worth another look
        if self._clock.monotonic() >= self._strays_at:
            await self._adopt()
        took = await self.take() if self._may_be_due else None
        if took and self._woken.is_set():
            return  # there is room for more by now, and probably more
        pause = await self._pause(self._last.next_due if took else None)
        if pause <= 0:
            self._may_be_due = True
            self._in_vain = self._in_vain + 1 if took == 0 else 0
            if self._in_vain:
                await self._notes.catch_up()  # nothing is claimed by calendars that were written anew
            if self._in_vain < IN_VAIN:
                return
            pause = FRUITLESS_PAUSE
        else:
            self._in_vain = 0
        woken = await wait(self._clock, self._woken, pause)
        self._may_be_due = woken or pause < self._poll

    async def _pause(self, due: Due | None) -> float:
        """Return for how many seconds nothing can be claimed, unless something changes; `due` if a claim told it."""
        if not self._may_claim():
            return self._lease.beat
        asked = self._clock.monotonic()
        demand = self._demand({}, limit=1)
        self._is_short = len(demand) < sum(not self._is_idle(key, asked) for key in self._keys)
        openings = self.openings()
        if not demand:
            openings += (lane.next_opening(asked) for lane in self._dispatcher.lanes.values())
            return min([self._poll, *openings])
        if due is None:
            due = await self._store.next_due(demand)
        else:
            asked = self._last.parts[0].sent
        if due is None:
            return min([self._poll, *openings])
        self._next_due, self._store_time = due.at, (due.at - due.wait, asked)
        return min([self._poll, *openings, due.wait.total_seconds() - self._lead - (self._clock.monotonic() - asked)])

    def _may_claim(self) -> bool:
        return self._lease.is_trusted() and self._lease.name not in self._notes.drained

    def openings(self) -> list[float]:
        """Return in how many seconds groups are asked for again of which nothing is due or may begin."""
        now = self._clock.monotonic()
        held = [*map(self._held_until, {*self._rated, *self._full}), *self._idle.values()]
        return [until - now for until in held if until > now]

    def rates_open(self) -> list[float]:
        """Return in how many seconds rates let jobs begin that they hold back."""
        now = self._clock.monotonic()
        return [opens - now for opens in self._rated.values() if opens > now]

    def open_groups(self) -> list[JobKey]:
        """Return the groups of which jobs may begin now, if there are any that are due."""
        moment = self._clock.monotonic()
        return [key for key in self._keys if self._may_begin(key, moment)]

    def on_due_hint(self, due_at: datetime) -> None:
        """Look again if a job has come that is due before the one that is waited for, and before the next look anyway.

        While it is not known which that is, each job of tomorrow would else cause a look: 4 us of each POST, and as
        much in the database.
        """
        if due_at < self._looks_at():
            self._idle.clear()  # it may be of any group
            self._hints += 1
        if due_at < self._next_due if self._next_due is not None else due_at < self._looks_at():
            self._woken.set()

    def _looks_at(self) -> datetime:
        """Return until when by the store's time, at least, nothing is looked for that is not known to be due."""
        if self._store_time is None:
            return datetime.max.replace(tzinfo=UTC)
        now, asked = self._store_time
        return now + timedelta(seconds=self._clock.monotonic() - asked + 2 * self._poll)

    def wake(self) -> None:
        """Look again soon: there may be something due, or other limits."""
        self._rated.clear()
        self._full.clear()
        self._idle.clear()
        self._woken.set()

    def on_room(self) -> None:
        """Look again soon if a group had no room, or its limits let no more begin: it may have some."""
        self._rooms += 1
        for key in self._full:
            self._rated.pop(key, None)
        self._full.clear()
        if self._is_short:
            self._woken.set()

    def stop(self) -> None:
        """Claim no more after the claim that is under way."""
        self._is_stopped = True
        self._woken.set()

    # --- how much

    def _demand(self, coming: Mapping[JobKey, int], limit: int) -> dict[JobKey, int]:
        """Return how many jobs of each group to claim, at most `limit`; groups for which there is no room are left out.

        `coming` are those that have been claimed and not been started.
        """
        lanes, moment = self._dispatcher.lanes, self._clock.monotonic()
        free, arriving = self._dispatcher.slots.free, sum(coming.values())
        waiting = arriving + sum(lane.waiting for lane in lanes.values() if not lane.is_stuck(moment, AHEAD_SECONDS))
        spare = sum(lane.openings(moment) for lane in lanes.values()) - waiting
        most = min(limit, self._dispatcher.slots.number + MOST_BESIDES - len(self._dispatcher.running) - arriving)
        keys = self.open_groups()
        rooms = {key: lanes[key].room(free, spare, moment, coming.get(key, 0)) for key in keys}
        if free <= waiting:  # all slots are spoken for: the next claim is worth its cost when half of these have begun
            rooms = {key: room if room >= waiting else 0 for key, room in rooms.items()}
        holds = {key: lane.waiting + lane.executing + coming.get(key, 0) for key, lane in lanes.items()}
        slow = {key for key, lane in lanes.items() if lane.mean is None or lane.mean >= SLOW_SECONDS}
        wanted = self._fairness.demands(keys, holds, rooms, slow, self._weights())
        self._room = min(most, max(rooms.values(), default=0))
        return {key: least for key, demand in wanted.items() if (least := min(demand, most)) > 0}

    def _weights(self) -> Weights:
        sources = self._notes.limits, self._dispatcher.limits
        return {key: (weight_of(Scope(key.product), *sources), weight_of(Scope(*key), *sources)) for key in self._keys}

    def _may_begin(self, key: JobKey, moment: float) -> bool:
        if moment < self._held_until(key) or self._is_idle(key, moment):
            return False
        return not any(pauses_of(self._notes.pauses, key))

    def _is_idle(self, key: JobKey, moment: float) -> bool:
        return moment < self._idle.get(key, -math.inf)

    def _held_until(self, key: JobKey) -> float:
        """Return until when a group is not asked for, because its limits and rates let nothing begin."""
        if key not in self._rated and key not in self._full:
            return -math.inf
        return min(self._rated.get(key, math.inf), self._full.get(key, math.inf))

    async def take(self, ahead: timedelta = AHEAD) -> int:
        """Claim what is due, or will be within `ahead`, and have it started at its time; answer how much that was.

        Where there is probably more, the next claim is under way while the jobs of the last one are started; unless
        there are requests that go first.
        """
        running = self._dispatcher.running
        before = len(running)
        taken = await self._claim({}, ahead)
        number = taken.number
        while taken.is_full and self._may_go_on():
            following = asyncio.create_task(self._claim(taken.got, ahead))
            await asyncio.sleep(0)  # noqa: TID251 - no wait: it is sent before this loop is busy
            try:
                await self._begin(taken)
            finally:
                taken = await following
            number += taken.number
        await self._begin(taken)
        if taken.is_full:
            await self._yielding.yield_to_requests(lambda: len(running) <= before)
        self._last = taken
        return number

    def _may_go_on(self) -> bool:
        """Tell whether a claim may follow another without a break."""
        return not self._yielding.is_crowded() and not self._is_stopped and self._clock.monotonic() < self._strays_at

    async def _claim(self, coming: Mapping[JobKey, int], ahead: timedelta) -> Taken:
        """Claim what is due, besides what is `coming`."""
        self._keys.rotate(-1)  # each group comes first in its turn when slots are scarce
        limit = self._yielding.batch()
        demand = self._demand(coming, limit)
        if not demand or not self._may_claim():
            return _NOTHING
        limit, life = min(limit, self._room), self._lease.name
        sources, busy = (self._notes.limits, self._dispatcher.limits), self._notes.busy
        caps = {key: caps for key in demand if (caps := caps_of(key, *sources)) or key.product in busy}
        free = {key: most for key, most in demand.items() if key not in caps}
        parts: list[Part] = []
        is_full = False
        if free:
            claimed, sent, answered = await self._ask(self._store.claim(life, free, limit, ahead, self._notes.number))
            parts.append(Part(claimed, life, sent, answered))
            is_full = len(claimed.claims) == limit
        for key, of_key in caps.items():
            if (most := min(demand[key], limit - Taken(parts, {}).number)) > 0:
                part = await self._claim_capped(life, key, most, of_key, ahead)
                parts.append(part)
                is_full = is_full or len(part.claimed.claims) == most
        got = Counter([claim.job.key for part in parts for claim in part.claimed.claims])
        if len(self._keys) > 1:
            self._fairness.took(demand, got, self._weights(), cut_short=is_full)
        may_have_more = bool(caps) or any(got[key] >= most for key, most in demand.items())
        return Taken(parts, got, is_full, None if may_have_more else parts[0].claimed.next_due)

    async def _claim_capped(self, life: str, key: JobKey, most: int, caps: Sequence[Cap], ahead: timedelta) -> Part:
        """Claim by limits, and remember until when a group need not be asked for."""
        claiming = self._store.claim_capped(life, key, most, caps, ahead, self._notes.number)
        rooms = self._rooms
        capped, sent, answered = await self._ask(claiming)
        self._rated.pop(key, None)
        self._full.pop(key, None)
        self._idle.pop(key, None)
        saw_all = rooms == self._rooms or not capped.is_cut  # else there may be room that the claim did not see
        if saw_all and len(capped.claimed.claims) < most:
            if capped.is_cut:
                self._full[key] = answered + FULL_PAUSE
            if capped.again is not None:
                self._rated[key] = sent + (capped.again - min(timedelta(seconds=self._lead), ahead)).total_seconds()
            if not (capped.claimed.claims or capped.is_cut or capped.again):
                await self._let_idle(key)
        return Part(capped.claimed, life, sent, answered, capped.begins)

    async def _let_idle(self, key: JobKey) -> None:
        """Ask for a group of which nothing is due when something is, or may be for all that is known."""
        asked, hints = self._clock.monotonic(), self._hints
        due = await self._store.next_due([key])
        if hints == self._hints:  # else one may have come that was not seen
            wait_for = self._poll if due is None else min(self._poll, due.wait.total_seconds() - self._lead)
            self._idle[key] = asked + wait_for

    async def _ask(self, claim: Awaitable[T]) -> tuple[T, float, float]:
        """Return the answer to a claim, and when it was sent and answered."""
        sent = self._clock.monotonic()  # before the store's time at the claim: whatever starts is never dated too early
        fp("claim.before")
        try:
            answer = await claim
        except StoreUnavailableError:
            self._doubt()
            raise
        fp("claim.after")
        answered = self._clock.monotonic()
        self._lead = min(max(LEAD[0], (self._lead + 2 * (answered - sent)) / 2), LEAD[1])
        return answer, sent, answered

    # --- what was claimed

    async def _begin(self, taken: Taken) -> None:
        for part in taken.parts:
            await self._begin_part(part)

    async def _begin_part(self, part: Part) -> None:
        """Have what was claimed start, but for occurrences that come too late to be begun: those end at once."""
        claims, answered = part.claimed.claims, part.answered
        if not claims:
            return
        ahead = claims[0].at.timestamp() - part.sent
        is_trusted = partial(self._lease.is_trusted_in, part.life)
        as_of = part.claimed.as_of or claims[0].at
        late = {job.run: ending for job, now in claims if job.run and (ending := self._unfit(job, now))}
        if any(not isinstance(claim.job.trigger, Once) for claim in claims):
            claims = await self._beside(claims, late)
        # The store's time was `as_of` at some moment before the answer came: so nothing is early by its clock.
        moments = ((job, part.begins.get(job.id, job.due_at)) for job, _ in claims)
        assignments = [
            Assignment(
                job,
                ahead,
                is_trusted,
                answered + (begins - as_of).total_seconds() if begins > as_of else answered,
            )
            for job, begins in moments
        ]
        self._dispatcher.start(assignments, late)

    def _unfit(self, job: Job, now: datetime) -> Ending | None:
        """Return how a run ends that is not to begin: it comes too late, or the row of its job cannot be read."""
        if job.damage is not None:
            return Ending(Outcome.FAILED, job.damage.reason)
        if job.cancelling:
            return Ending(Outcome.CANCELLED, lifecycle.CANCELLED)
        if isinstance(job.trigger, Once) and job.options.expires_after is None:
            return None
        try:
            return lifecycle.missed(job, now=now, calendars=self._notes.known)
        except Exception as error:  # noqa: BLE001 - a bug of ours: this job must not take the others with it
            return Ending(Outcome.FAILED, f"whether it comes too late cannot be told: {first_line(error)}")

    async def _beside(self, claims: list[Claim], late: Mapping[int, Ending]) -> list[Claim]:
        """Take occurrences that need not wait for one another out of their jobs.

        Where the store does not answer, nobody knows what the claim is: it is looked up with what else is in doubt.
        """
        begun: list[Claim] = []
        for claim in claims:
            if not runs_beside(claim.job) or claim.job.run in late:
                begun.append(claim)
                continue
            try:
                beside, cancelled = await begin_beside(self._store, claim, self._clock.new_id, self._notes.known)
            except StoreUnavailableError:
                self._doubt()
            else:
                self._dispatcher.interrupt(cancelled, "the next occurrence began")
                begun.append(beside)
        return begun

    # --- doubt

    def _doubt(self) -> None:
        """Look for what the node holds without knowing, as soon as the store answers."""
        self._in_doubt_until, self._strays_at = math.inf, -math.inf

    async def _adopt(self) -> None:
        """Start what was claimed for this node by a call whose answer never came.

        It may come about long after the call failed: a database that was frozen does at its return what it was asked
        before. So this is looked for until all is well for a while, and then now and then all the same.
        """
        known = set(self._dispatcher.running)  # before asking: what ends meanwhile is no news
        life = self._lease.name
        held = [claim for claim in await self._store.holding(life) if claim.job.run not in known]
        if held:
            sent, now = self._clock.monotonic(), await self._store.now()
            claims = [claim._replace(at=now) for claim in held]
            await self._begin_part(Part(Claimed(claims), life, sent, self._clock.monotonic()))
        moment = self._clock.monotonic()
        self._in_doubt_until = min(self._in_doubt_until, moment + DOUBT)
        self._strays_at = moment + (self._poll if moment < self._in_doubt_until else self._lease.seconds)
