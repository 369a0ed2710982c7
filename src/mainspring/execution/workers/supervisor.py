"""One run in one worker: sees it through, and makes it end when it does not do so by itself."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import Future
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any

from mainspring.clock import Clock
from mainspring.execution.assignment import Assignment
from mainspring.execution.endings import cut_short, seconds_of, timed_out
from mainspring.execution.runner import VETO_SECONDS
from mainspring.execution.workers.calls import write_answer
from mainspring.execution.workers.handle import PATIENCE_SECONDS, Worker, WorkerDiedError, cause_of_death
from mainspring.execution.workers.wire import read_ending, write_claim
from mainspring.job import Ending, Outcome, Progress
from mainspring.plugins import Binding, Call, Calls, NoCalls

CHECK_SECONDS = 10.0
"""How long all may take that comes before the job itself, beside its listeners' own limits."""
HARD_SECONDS = 1.0
"""How long past its time limit a worker may take to end the job by itself."""


class Step(Enum):
    """How far a run is, or how hard it has been asked to end."""

    CHECKS = "the checks before the job"
    JOB = "the job"
    TOLD_TO_END = "told to end"
    KILLED = "killed"


class Supervisor:
    """Has a worker run an assignment. Each step has a deadline; when it is over, the next step follows.

    `cut_off` says why the run was made to end, if it was; `worn` whether the worker may not be used again.
    """

    def __init__(
        self, worker: Worker, assignment: Assignment, binding: Binding, clock: Clock, calls: Calls | None = None
    ) -> None:
        self._worker = worker
        self._calls = calls or NoCalls()
        self._loop = asyncio.get_running_loop()
        self._assignment = assignment
        self._binding = binding
        self._clock = clock
        self._limit = seconds_of(assignment.job, binding.job_class)
        self._step = Step.CHECKS
        self._checks = VETO_SECONDS * len(binding.listeners) + CHECK_SECONDS
        self._deadline = clock.monotonic() + self._checks
        self._log: str | None = None
        self._is_over = False
        self.cut_off: Ending | None = None
        self.worn = True

    async def see_through(self) -> Ending:
        """Return how the run ended. One cancellation interrupts the run; its end is waited for."""
        self._worker.send({"run": write_claim(self._assignment.job, self._assignment.ahead)})
        self._assignment.stopping.pass_on(_PassedOn(self._worker, self._assignment.run))
        ending = None
        while ending is None:
            try:
                async with self._clock.limit(self._deadline - self._clock.monotonic()):
                    answer = await self._worker.receive()
                ending = self._take(answer)
            except TimeoutError:
                self._time_is_up()
            except asyncio.CancelledError:
                self._interrupt()
            except WorkerDiedError as death:
                cause = cause_of_death(death, self._worker, self._binding.job_class.memory_limit)
                ending = self.cut_off or Ending(Outcome.FAILED, cause, fatal=True)
            except (KeyError, TypeError, ValueError):
                self._worker.silence()
        self._is_over = True
        if self.cut_off and self.cut_off.outcome is Outcome.TIMED_OUT:
            ending = self.cut_off._replace(log=ending.log)
        return ending if ending.log is not None else ending._replace(log=self._log)

    def _take(self, answer: dict[str, Any]) -> Ending | None:
        """Take what the worker says: that the job itself begins, what its run says, or how it ended."""
        if "said" in answer:
            run, progress, log = answer["said"]
            if run == self._assignment.run:  # else it comes after the end of the run before
                self._log = log
                self._assignment.progress = None if progress is None else Progress(*progress)
            return None
        if "ask" in answer:
            self._ask(*answer["ask"])
            return None
        if "begun" not in answer:
            ending, self.worn = read_ending(answer["ending"]), bool(answer["worn"])
            return ending
        if self._step is Step.CHECKS:
            self._go_on(Step.JOB, self._limit + HARD_SECONDS)
        return None

    def _ask(self, run: int, number: int, *call: str) -> None:
        """Begin a call of the run, within the bounds of its product; its answer goes back by its number."""
        if run == self._assignment.run:  # else it comes after the end of the run before
            asked = self._calls.begin(self._assignment.job.key.product, Call(*call))
            asked.add_done_callback(partial(self._on_answer, number))

    def _on_answer(self, number: int, asked: Future[str]) -> None:
        """Hear, in any thread, what a call has brought."""
        with suppress(RuntimeError):  # the loop is closed: the worker is gone
            self._loop.call_soon_threadsafe(self._pass_on, number, asked)

    def _pass_on(self, number: int, asked: Future[str]) -> None:
        if not self._is_over:
            self._worker.send(write_answer(self._assignment.run, number, asked))

    def _time_is_up(self) -> None:
        """Make a run end whose step took too long: by a signal that its worker heeds, then by one that kills it."""
        if self._step in {Step.CHECKS, Step.JOB}:
            checks = Ending(Outcome.TIMED_OUT, f"the checks before the job took longer than {self._checks:g} s")
            self.cut_off = checks if self._step is Step.CHECKS else timed_out(self._limit)
            self._worker.kill(signal.SIGTERM)
            self._go_on(Step.TOLD_TO_END, PATIENCE_SECONDS)
        else:
            self._worker.kill(signal.SIGKILL)
            self._go_on(Step.KILLED, PATIENCE_SECONDS)

    def _interrupt(self) -> None:
        """Have the worker cancel the run, because its node says so."""
        why = self._assignment.stopping.why or "the run was cancelled"
        self._worker.send({"interrupt": why})
        if self._step in {Step.CHECKS, Step.JOB}:
            self.cut_off = cut_short(why, self._binding.job_class)
            self._go_on(Step.TOLD_TO_END, PATIENCE_SECONDS)

    def _go_on(self, step: Step, seconds: float) -> None:
        self._step = step
        self._deadline = self._clock.monotonic() + seconds


class _PassedOn:
    """Passes the wish that a run should end on to its worker, from any thread."""

    def __init__(self, worker: Worker, run: int) -> None:
        self._worker = worker
        self._run = run
        self._loop = asyncio.get_running_loop()

    def set(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: the worker is gone
            self._loop.call_soon_threadsafe(self._worker.send, {"stop": self._run})
