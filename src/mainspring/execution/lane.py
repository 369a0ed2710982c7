"""A lane: where the jobs of a group run, which of them wait to begin there, and whether that place is stuck.

The code of plugins runs on event loops of its own. Lanes that share a loop may block each other; others may not.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice, takewhile
from operator import attrgetter

from mainspring.clock import Alarm, Clock
from mainspring.execution.assignment import Assignment
from mainspring.execution.endings import describe
from mainspring.execution.executor import Executor
from mainspring.execution.places import Places
from mainspring.execution.slots import Slots
from mainspring.execution.steady import tell_of_attempt
from mainspring.job import Ending, Outcome

STUCK_SECONDS = 2.0
"""A loop that has not taken in what it was given for this long is blocked by a job."""
AHEAD_SECONDS = 0.05
"""Jobs are claimed ahead of free slots if they will probably begin within this time (Little's law)."""
PATIENCE_SECONDS = 2 * AHEAD_SECONDS
"""A job that has waited this long for a slot is handed back: another node may have one."""
CAUTION_SECONDS = 1.0
"""How long nothing is claimed ahead of free slots after something had to be handed back."""
RESOLUTION = 1e-7
"""Seconds by which two moments must differ: sums of them are off by less. Times of the store are whole microseconds."""
_WEIGHT = 1 / 16
"""How much the last run counts in the mean duration."""
_not_before = attrgetter("not_before")


class Lane:
    """The event loop on which the jobs of a group run, what runs them there, and those that wait to begin.

    Each begins at its due time, if there is a slot, and a place where its runs need `places` too. All run in a context
    of their own, so that no run sees what another has set in context variables, even if it begins when that ends.
    Methods without an underscore are for the thread of the node; all else happens on the thread of the loop.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        executor: Executor,
        clock: Clock,
        slots: Slots,
        places: Places | None = None,
    ) -> None:
        self.loop = loop
        self.executor = executor
        self._clock = clock
        self._slots = slots
        self.places = places
        self._context = contextvars.copy_context()
        self.on_begin: Callable[[Assignment], None] | None = None
        self.on_end: Callable[[Assignment, Ending, float, bool], None] = lambda *_: None
        """Takes how a run ended, when, and whether others wait to begin here."""
        self.on_unbegun: Callable[[list[Assignment]], None] = lambda _: None
        """Takes what cannot begin here: there was no slot in time, or the lane is closed."""
        self.on_low: Callable[[], None] = lambda: None
        """Hears that there is room for more: half of what waited has begun, or a thread that was stuck has ended."""
        self.mean: float | None = None
        """How many seconds recent runs had their slots; `None` before the first run has ended."""
        self._waiting: deque[Assignment] = deque()
        self._executing: dict[int, float] = {}
        """Since when each run has its slot, by its number; the oldest comes first."""
        self._alarm: Alarm | None = None
        self._alarm_at = math.inf
        self._low = -1
        self._is_closed = False
        # Each of these is written by one thread, so that no lock is needed.
        self._given = 0
        self._begun = 0
        self._batches_given = 0
        self._batches_taken = 0
        self._since = 0.0
        self._cautious_until = -math.inf
        if places is not None:
            places.admit(self)

    # --- for the thread of the node

    def give(self, assignments: list[Assignment]) -> None:
        """Have assignments begin, each at its time."""
        self._given += len(assignments)
        self._send(assignments)

    def _send(self, assignments: list[Assignment]) -> None:
        if self._batches_given == self._batches_taken:
            self._since = self._clock.monotonic()
        self._batches_given += 1
        self.loop.call_soon_threadsafe(self._take_in, assignments)

    def close(self) -> None:
        """Let nothing begin any more."""
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._close)

    def ask(self) -> None:
        """Give the loop something to do, by which `is_stuck` can tell whether it is blocked."""
        self._send([])

    @property
    def untaken_since(self) -> float | None:
        """The moment since which the loop has not taken in what it was given; `None` if it has."""
        return None if self._batches_given == self._batches_taken else self._since

    def is_stuck(self, moment: float, seconds: float = STUCK_SECONDS) -> bool:
        """Tell whether a job blocks the loop, so that what was given to it only waits."""
        return self._batches_given != self._batches_taken and moment - self._since >= seconds

    def abandon(self, assignment: Assignment) -> None:
        """Take its slot and its place from a run that was handed back before it took its first step."""
        if self._executing.pop(assignment.run, None) is not None:
            self._slots.give_back()
            self.loop.call_soon_threadsafe(assignment.leave_place)

    @property
    def waiting(self) -> int:
        """How many wait to begin."""
        return self._given - self._begun

    @property
    def executing(self) -> int:
        """How many have a slot."""
        return len(self._executing)

    def openings(self, moment: float) -> int:
        """Return how often the runs that have a slot will leave it to another one within `AHEAD_SECONDS`."""
        mean = self.mean
        if mean is None or moment < self._cautious_until:
            return 0
        began = list(self._executing.values())
        # A run that takes far longer than others do may take for ever. The oldest come first.
        old = sum(1 for _ in takewhile(lambda since: moment - since > mean + AHEAD_SECONDS, began))
        if mean <= AHEAD_SECONDS:
            return self._turns(len(began) - old, moment)
        return sum(1 for _ in takewhile(lambda since: moment - since >= mean - AHEAD_SECONDS, islice(began, old, None)))

    def next_opening(self, moment: float) -> float:
        """Return in how many seconds a run will probably end within `AHEAD_SECONDS`; infinity if that is not known."""
        if self.mean is None or moment < self._cautious_until:
            return math.inf
        waits = (since + self.mean - AHEAD_SECONDS - moment for since in list(self._executing.values()))
        return next((wait for wait in waits if wait > 0), math.inf)

    def room(self, free: int, spare: int, moment: float, coming: int = 0) -> int:
        """Return how many jobs may be claimed besides those that are `coming`.

        `free` are slots that nobody has, `spare` those that runs will leave soon, less those that jobs wait for.
        """
        if self.is_stuck(moment, AHEAD_SECONDS):
            return 0
        room = self._turns(free, moment) + spare
        if self.places is not None:
            own = self._turns(max(self.places.free, 0), moment) + self.openings(moment)
            room = min(room, own - self.places.wanted - coming)
        return max(0, room)

    def _turns(self, slots: int, moment: float) -> int:
        """Return how many runs these slots will begin within `AHEAD_SECONDS`."""
        if self.mean is None or self.mean > AHEAD_SECONDS or moment < self._cautious_until:
            return slots
        return int(slots * AHEAD_SECONDS / max(self.mean, RESOLUTION))

    # --- for the thread of the loop

    def _take_in(self, assignments: list[Assignment]) -> None:
        self._batches_taken += 1
        self._since = self._clock.monotonic()
        if not assignments:
            return
        in_order = not self._waiting or self._waiting[-1].not_before <= assignments[0].not_before
        self._waiting.extend(assignments)
        if not in_order:
            self._waiting = deque(sorted(self._waiting, key=_not_before))
        self._low = len(self._waiting) // 2
        self._begin_waiting()

    def _begin_waiting(self) -> None:
        """Begin what is due, as far as there are slots, and look again when there is something else to do."""
        if self._is_closed:
            self._leave_out(len(self._waiting))
        moment = self._clock.monotonic()
        due = self._count(moment)
        most = due if self.places is None else min(due, max(self.places.free, 0))
        begun = self._slots.take(self, most)
        for _ in range(begun):
            self._begin(moment)
        if due > begun and (late := self._count(moment - PATIENCE_SECONDS)):
            self._cautious_until = moment + CAUTION_SECONDS
            self._leave_out(late)
            due -= late
        if self._waiting:
            self._look_again(self._waiting[0].not_before + (PATIENCE_SECONDS if due > begun else 0), moment)

    def _count(self, moment: float) -> int:
        """Return how many of those that wait could begin at a moment."""
        if self._waiting and self._waiting[-1].not_before - moment <= RESOLUTION:
            return len(self._waiting)
        return sum(1 for _ in takewhile(lambda each: each.not_before - moment <= RESOLUTION, self._waiting))

    def _look_again(self, at: float, moment: float) -> None:
        if self._alarm is None or at < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = at
            self._alarm = self._clock.alarm(at - moment, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        self._begin_waiting()

    def _leave_out(self, number: int) -> None:
        """Hand back the first that wait, but for those that the node has taken back already."""
        self._begun += number
        left_out = [self._waiting.popleft() for _ in range(number)]
        if unbegun := [each for each in left_out if not each.is_handed_back]:
            self.on_unbegun(unbegun)

    def _begin(self, moment: float) -> None:
        """Begin the first that waits; it has a slot."""
        assignment = self._waiting.popleft()
        self._begun += 1
        if assignment.is_handed_back:
            self._slots.give_back()
            return
        if self.places is not None:
            self.places.take(assignment)
        self._executing[assignment.run] = moment
        # By `create_task` it would come from the task factory, which a plugin may have changed.
        assignment.task = asyncio.Task(self._see_through(assignment), context=self._context.copy())
        if len(self._waiting) == self._low:
            self.on_low()

    async def _see_through(self, assignment: Assignment) -> None:
        """Run an assignment, hand in how it ended, and let the next have its slot."""
        if self.on_begin is not None:
            self.on_begin(assignment)
        try:
            ending = await self.executor.run(assignment)
        except BaseException as error:  # noqa: BLE001 - it never raises, unless code of a plugin has found a way
            ending = Ending(Outcome.FAILED, describe(error))
        if self.loop.is_closed():  # the garbage collector ends what was left there: nothing begins after it
            return
        moment = self._clock.monotonic()
        since = self._executing.pop(assignment.run, None)
        waiting = self._waiting
        self.on_end(assignment, ending, moment, bool(waiting))
        assignment.leave_place()
        if since is None:  # its slot was taken from it
            return
        took = moment - since
        self.mean = took if self.mean is None else self.mean + (took - self.mean) * _WEIGHT
        if not waiting or waiting[0].not_before > moment or self._is_closed or self._is_full():
            self._slots.give_back()
        elif self._slots.keep(self):
            self._begin(moment)

    def _is_full(self) -> bool:
        return self.places is not None and self.places.free <= 0

    def look(self) -> None:
        """See `places.Sharer`."""
        if self._waiting:
            self._begin_waiting()

    def take_slot(self) -> None:
        """See `slots.Taker`. For any thread."""
        try:
            self.loop.call_soon_threadsafe(self._use_slot)
        except RuntimeError:  # the loop is closed
            self._slots.give_back()

    def _use_slot(self) -> None:
        moment = self._clock.monotonic()
        if self._count(moment) and not self._is_closed and not self._is_full():
            self._begin(moment)
        else:
            self._slots.give_back()
        self._begin_waiting()

    def _close(self) -> None:
        self._is_closed = True
        self._begin_waiting()


@contextmanager
def job_loop(loop: asyncio.AbstractEventLoop, name: str) -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop for user code in a thread: a job that blocks it blocks neither the API nor the engine.

    In the end the loop is closed, unless a job does not give it back.
    """
    over: asyncio.Future[None] = loop.create_future()
    thread = threading.Thread(target=_keep_running, args=(loop, over), name=name, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(over.set_result, None)
        thread.join(timeout=1)
        if not thread.is_alive():
            loop.close()


def _keep_running(loop: asyncio.AbstractEventLoop, over: asyncio.Future[None]) -> None:
    """Run a loop until that is `over`: a job may break out of it, but must not end it.

    `sys.exit` in a task of a job does that, and so does `loop.stop`.
    """
    while not over.done():
        try:
            loop.run_until_complete(over)
        except BaseException as error:  # noqa: BLE001 - code of a plugin
            tell_of_attempt(error)
            if loop.is_closed():
                return
