"""Jobs in processes of their own: the runner that hands them to workers, and a worker as its node sees it.

A worker belongs to one job group, or to all of them, runs one job at a time, and is used again while it is healthy. It
makes its own registry from the names of the plugins (`worker`), so nothing but JSON crosses, a line a
message. The node believes an ending only if the worker says so; an exit without one has failed.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import socket
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self

import structlog

from mainspring.clock import Clock, wait
from mainspring.execution.runner import VETO_SECONDS, Assignment, describe, text
from mainspring.execution.workers.spawner import Child, Spawner
from mainspring.job import Ending, Job, JobKey, Outcome
from mainspring.plugins import Registry
from mainspring.schedule import MICROSECOND
from mainspring.settings import Settings
from mainspring.store import PLAIN

START_SECONDS = 60.0
"""How long a worker may take to load its plugins and build its services."""
CHECK_SECONDS = 10.0
"""How long all may take that comes before the job itself, beside its listeners' own limits."""
HARD_SECONDS = 1.0
"""How long past its time limit a worker may take to end the job by itself."""
PATIENCE_SECONDS = 1.0
"""How long a worker may take to end after it was told to: less than a leaving node waits for its runs."""
GOODBYE_SECONDS = 3.0
"""How long the services of a worker may take to clean up."""
QUICK_SECONDS = 0.25
"""A start that takes no longer is worth waiting for: a job that is handed back waits longer."""
SHARED = 16
"""How many workers all groups together may have where they share them."""
OUTPUT_KEPT = 64 * 1024
"""How many bytes of what a run writes to its stdout and stderr are kept for the log."""
OUT_OF_MEMORY = 77
"""The exit code of a worker that has no memory left to say how its job ended."""
_LINE_LIMIT = 1 << 16
_READS = 16

log = structlog.get_logger("mainspring.execution")


# --- what crosses -----------------------------------------------------------------------------------------------------


def write_claim(job: Job, ahead: float) -> dict[str, Any]:
    """Put a claimed job, and how far the store's time is ahead of the machine's monotonic clock, into plain data."""
    return {"job": PLAIN.job_row(job), "ahead": ahead}


def read_claim(data: dict[str, Any]) -> Assignment:
    """Read what `write_claim` wrote."""
    return Assignment(PLAIN.read_job(data["job"]), data["ahead"])


def write_ending(ending: Ending) -> list[Any]:
    """Put an ending into plain data."""
    return [ending.outcome, ending.reason, None if ending.delay is None else ending.delay // MICROSECOND]


def read_ending(data: list[Any]) -> Ending:
    """Read what `write_ending` wrote. Raises `ValueError` or `TypeError` for anything else."""
    outcome, reason, delay = data
    return Ending(
        Outcome(outcome),
        None if reason is None else str(reason),
        None if delay is None else timedelta(microseconds=delay),
    )


# --- the runner -------------------------------------------------------------------------------------------------------


class _Pool:
    """The workers of a job group, or of all groups where `key` is `None`: those that wait, and who waits for one."""

    def __init__(self, key: JobKey | None, most: int) -> None:
        self.key = key
        self.free = asyncio.Semaphore(most)
        self.idle: asyncio.Queue[_Worker | Exception] = asyncio.Queue()
        self.waiting = 0
        self.grows = False


class ProcessRunner:
    """Runs assignments in workers; all on one event loop.

    Workers start when they are needed and stay. Each group has its own, at most `processes`: one that fills or wears
    out its workers leaves those of the others alone. If they are `shared`, all groups have the same workers.
    """

    def __init__(
        self, registry: Registry, clock: Clock, settings: Settings, spawner: Spawner, *, shared: bool = False
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._settings = settings
        self._spawner = spawner
        if shared:
            self._pools = dict.fromkeys(registry.bindings, _Pool(None, SHARED))
        else:
            self._pools = {key: _Pool(key, settings.processes) for key in registry.bindings}
        self._workers: set[_Worker] = set()
        self._growth: set[asyncio.Task[None]] = set()
        self._failed = False
        """Whether the last worker that was wanted could not be had."""
        self._start_seconds = math.inf
        """How long the last one took from its birth until it was ready."""
        self._farewells: set[asyncio.Task[None]] = set()

    async def run(self, assignment: Assignment) -> Ending:
        """Run an assignment to its end, whatever that is; never raises.

        Waiting for a worker takes nothing from the job's time.
        """
        assignment.started_at = assignment.store_time(self._clock)  # from here on the node may cancel it
        pool = self._pools[assignment.job.key]
        try:
            if (refusal := assignment.refusal()) is not None:
                return refusal
            async with pool.free:
                worker = await self._take(pool)
                if (refusal := assignment.refusal()) is not None:
                    pool.idle.put_nowait(worker)
                    return refusal
                assignment.started_at = assignment.store_time(self._clock)
                return await self._see_through(worker, assignment)
        except asyncio.CancelledError:
            return Ending(Outcome.INTERRUPTED, assignment.interrupt or "the run was cancelled")
        except _WorkerDiedError as death:
            return Ending(Outcome.FAILED, text(f"no worker process could be had: {death}"))
        except Exception as error:  # noqa: BLE001 - whatever the machine refuses: a process, a pipe, a thread
            return Ending(Outcome.FAILED, f"no worker process could be had: {describe(error)}")

    async def close(self) -> None:
        """Let all workers go, and see that they are gone."""
        for growing in self._growth:
            growing.cancel()
        for worker in list(self._workers):
            self._dismiss(worker)
        while self._farewells:
            await asyncio.wait(self._farewells)

    def prepare(self) -> None:
        """Have a worker at hand, on the loop of the workers, before it is needed, and a nursery for more."""
        for pool in set(self._pools.values()):
            if pool.idle.empty():
                self._grow(pool)

    @property
    def at_hand(self) -> float:
        """How many workers there are, busy or not, or as good as there, as the last start was a quick one.

        No end if none can be had: whoever asks is to hear why. For any thread.
        """
        if self._failed:
            return math.inf
        if self._start_seconds <= QUICK_SECONDS:
            return SHARED
        return sum(worker.lives() for worker in list(self._workers)) - len(self._growth)

    async def _take(self, pool: _Pool) -> _Worker:
        """Return a worker that waits, else the first to come: one that a run gives back, or a new one.

        Raises `_WorkerDiedError`, and what the machine raises that has no process left.
        """
        while True:
            pool.waiting += 1
            self._feed(pool)
            try:
                worker = await pool.idle.get()
            finally:
                pool.waiting -= 1
            if isinstance(worker, Exception):
                raise worker
            if worker.lives():
                return worker

    def _feed(self, pool: _Pool) -> None:
        """Start a worker if somebody waits for one: one at a time, as another may come free meanwhile."""
        if pool.waiting > pool.idle.qsize():
            self._grow(pool)

    def _grow(self, pool: _Pool) -> None:
        if not pool.grows:
            pool.grows = True
            growing = asyncio.create_task(self._add_worker(pool))
            self._growth.add(growing)
            growing.add_done_callback(self._growth.discard)

    async def _add_worker(self, pool: _Pool) -> None:
        try:
            pool.idle.put_nowait(await self._new_worker(pool.key))
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits for the worker
            self._failed = True
            if pool.waiting:
                pool.idle.put_nowait(error)
        else:
            self._failed = False
        finally:
            pool.grows = False
        self._feed(pool)

    async def _new_worker(self, key: JobKey | None) -> _Worker:
        worker = await _Worker.start(key, self._spawner)
        self._workers.add(worker)
        born = self._clock.monotonic()
        try:
            await self._make_ready(worker, key)
            self._start_seconds = self._clock.monotonic() - born
        except BaseException:
            self._dismiss(worker)
            raise
        return worker

    async def _make_ready(self, worker: _Worker, key: JobKey | None) -> None:
        """Tell a worker whose it is, and wait until it is ready. Raises `_WorkerDiedError`."""
        settings = self._settings.model_dump(mode="json", include={"plugins", "threads", "log_level", "log_format"})
        memory = None if key is None else self._registry.bindings[key].job_class.memory_limit
        worker.send({"path": sys.path, "settings": settings, "group": key, "memory": memory})
        try:
            async with self._clock.limit(START_SECONDS):
                answer = await worker.receive()
        except TimeoutError:
            raise _WorkerDiedError(f"the worker process was not ready after {START_SECONDS:g} s") from None
        if "failed" in answer:
            raise _WorkerDiedError(str(answer["failed"]))

    async def _see_through(self, worker: _Worker, assignment: Assignment) -> Ending:
        """Have a worker run a job, and make it end when it does not do so by itself."""
        job = assignment.job
        binding = self._registry.bindings[job.key]
        moment = self._clock.monotonic()
        worker.send({"run": write_claim(job, assignment.ahead)})
        assignment.stopping.pass_on(_Told(worker, assignment.run))
        limit = (job.options.timeout or binding.job_class.timeout).total_seconds()
        checks = VETO_SECONDS * len(binding.listeners) + CHECK_SECONDS
        deadline = moment + checks
        too_long = f"the checks before the job took longer than {checks:g} s"
        cut_off: Ending | None = None
        ending, worn = None, True
        while ending is None:
            try:
                async with self._clock.limit(deadline - self._clock.monotonic()):
                    answer = await worker.receive()
                if "begun" not in answer:
                    ending, worn = read_ending(answer["ending"]), bool(answer["worn"])
                elif cut_off is None:
                    deadline = self._clock.monotonic() + limit + HARD_SECONDS
                    too_long = f"took longer than its limit of {limit:g} s"
            except TimeoutError:
                worker.kill(signal.SIGKILL if cut_off else signal.SIGTERM)
                cut_off = cut_off or Ending(Outcome.TIMED_OUT, too_long)
                deadline = self._clock.monotonic() + PATIENCE_SECONDS
            except asyncio.CancelledError:
                why = assignment.interrupt or "the run was cancelled"
                worker.send({"interrupt": why})
                if cut_off is None:
                    once = binding.job_class.at_most_once
                    cut_off = Ending(Outcome.LOST, f"{why} while it ran") if once else Ending(Outcome.INTERRUPTED, why)
                    deadline = self._clock.monotonic() + PATIENCE_SECONDS
            except _WorkerDiedError as death:
                cause = _cause(death, worker, binding.job_class.memory_limit)
                ending = cut_off or Ending(Outcome.FAILED, cause, fatal=True)
            except (KeyError, TypeError, ValueError):
                worker.silence()
        worker.report(job=str(job.series), run=assignment.run, attempt=job.attempt)
        pool = self._pools[job.key]
        if worn or cut_off:
            self._dismiss(worker)
            self._feed(pool)
        else:
            pool.idle.put_nowait(worker)
        return cut_off if cut_off and cut_off.outcome is Outcome.TIMED_OUT else ending

    def _dismiss(self, worker: _Worker) -> None:
        """Let a worker close its services and go; kill what is not gone soon."""
        farewell = asyncio.create_task(self._farewell(worker))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    async def _farewell(self, worker: _Worker) -> None:
        worker.hang_up()
        while not await wait(self._clock, worker.gone, GOODBYE_SECONDS):
            worker.kill(signal.SIGKILL)
        worker.report()
        worker.close()
        self._workers.discard(worker)


class _Told:
    """Passes the wish that a run should end on to its worker, from any thread."""

    def __init__(self, worker: _Worker, run: int) -> None:
        self._worker = worker
        self._run = run
        self._loop = asyncio.get_running_loop()

    def set(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: the worker is gone
            self._loop.call_soon_threadsafe(self._worker.send, {"stop": self._run})


def _cause(death: _WorkerDiedError, worker: _Worker, memory_limit: int | None) -> str:
    """Say of what a worker died, and if it may have been its memory, that too."""
    code = worker.code
    if code == OUT_OF_MEMORY:
        return "the worker process ran out of memory"
    if code == -signal.SIGKILL and not worker.silenced:
        return f"{death}, which is what the system does when memory runs out"
    if memory_limit is not None and code in {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS}:
        return f"{death}; its memory is limited to {memory_limit} bytes"
    return str(death)


# --- a worker, seen from the node -------------------------------------------------------------------------------------


class _WorkerDiedError(Exception):
    """A worker is dead, and says nothing any more."""


class _Worker:
    """A process in a group of its own, and the channel to it.

    Its stdin is the channel, its stdout (and what else it writes, but for its log) is kept. `gone` is set when it has
    ended and nothing is left of its process group.
    """

    def __init__(
        self,
        key: JobKey | None,
        child: Child,
        output: int,
        channel: socket.socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._key = key
        self._child = child
        self._output = _Output(output)
        self._channel = channel
        self._reader = reader
        self._writer = writer
        self.silenced = False
        self.gone = child.gone
        self._ending = asyncio.create_task(self._note_end())

    @classmethod
    async def start(cls, key: JobKey | None, spawner: Spawner) -> Self:
        """Start a process. Raises `OSError` when the machine has none left."""
        ours, theirs = socket.socketpair()
        output, written = os.pipe()
        try:
            child = await spawner.start(theirs, written)
        except BaseException:
            ours.close()
            os.close(output)
            raise
        finally:
            theirs.close()
            os.close(written)
        return cls(key, child, output, ours, *await asyncio.open_connection(sock=ours, limit=_LINE_LIMIT))

    @property
    def code(self) -> int | None:
        """The exit code, or the negative number of the signal that killed it."""
        return self._child.code

    def lives(self) -> bool:
        """Tell whether it has not ended yet: nobody but itself holds the other end of its channel."""
        try:
            return bool(self._channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; one that is dead does not hear it."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        """Wait for its next message. Raises `_WorkerDiedError` once it is dead and all it has said was received."""
        try:
            message: dict[str, Any] = json.loads(await self._reader.readuntil())
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            await self._see_end()
            raise _WorkerDiedError(self._fate()) from None
        return message

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it started."""
        self._child.kill(number)

    def silence(self) -> None:
        """Kill one that talks nonsense: it is not believed any more."""
        self.silenced = True
        self.kill(signal.SIGKILL)

    def report(self, **run: object) -> None:
        """Log what it has written since the last report, if anything."""
        output, more = self._output.take()
        if output:
            group = {} if self._key is None else {"group": str(self._key)}
            log.info("output of a worker process", **group, **run, output=output, more_bytes=more)

    def hang_up(self) -> None:
        """Close the channel, which tells it to go."""
        self._writer.close()

    def close(self) -> None:
        """Let go of what the node holds of it; it is gone."""
        self._writer.close()
        self._output.close()

    async def _see_end(self) -> None:
        """Wait for the end of one that is heard no more, and bring it about if it lives on."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS / 2):
                await self.gone.wait()
        except TimeoutError:
            self.silence()
            await self.gone.wait()

    def _fate(self) -> str:
        code = self._child.code
        if self.silenced:
            return "the worker process broke its channel to the node"
        if code >= 0:
            return f"the worker process exited with code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unknown"
        return f"the worker process was killed by signal {-code} ({name})"

    async def _note_end(self) -> None:
        """Stop listening some time after the end: a process that left the group may hold the channel open."""
        await self.gone.wait()
        asyncio.get_running_loop().call_later(PATIENCE_SECONDS / 2, self._reader.feed_eof)


class _Output:
    """Takes what a process writes, so that it never has to wait, and keeps the first of it."""

    def __init__(self, pipe: int) -> None:
        self._pipe = os.fdopen(pipe, "rb", buffering=0)
        self._loop = asyncio.get_running_loop()
        self._kept = bytearray()
        self._more = 0
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._read)

    def take(self) -> tuple[str, int]:
        """Return what was kept, and how many bytes more there were; forget both."""
        self._read()
        taken = self._kept.decode(errors="replace"), self._more
        self._kept.clear()
        self._more = 0
        return taken

    def close(self) -> None:
        """Close the pipe."""
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()

    def _read(self) -> None:
        """Read what is there, but not for ever: others have their turn."""
        for _ in range(_READS):
            if self._pipe.closed:
                return
            try:
                chunk = os.read(self._pipe.fileno(), OUTPUT_KEPT)
            except BlockingIOError:
                return
            if not chunk:
                self.close()
            room = OUTPUT_KEPT - len(self._kept)
            self._kept += chunk[:room]
            self._more += len(chunk[room:])
