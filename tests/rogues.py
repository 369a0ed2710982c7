"""Jobs that misbehave, each in its own way, and a good neighbour. They are what a plugin may do at worst."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from datetime import date, timedelta
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, SecretStr

from mainspring import (
    Binder,
    Busy,
    JobExecutionContext,
    JobRequest,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    Trigger,
    job_group,
    product,
)
from mainspring.execution.workers.wire import OUT_OF_MEMORY

MEBIBYTE = 1 << 20
CHILD = "import time; time.sleep(1000)"
"""What a child does that is left behind."""
BLOCKED_SECONDS = 6.0
FRAGILE = "tests.rogues:FragileModule"


class ZooSettings(BaseModel):
    """What an operator may tell the rogues."""

    keeper: SecretStr = SecretStr("nobody")
    opens: date | None = None


class Secret:
    """A service that tells in which process it lives, and writes down when it is closed."""

    def __init__(self, settings: ZooSettings) -> None:
        self.process = os.getpid()
        self.settings = settings

    def close(self) -> None:
        sys.stdout.write("secret closed\n")


class Rogue(SchedulerJob):
    """A job in a process of its own, which does what its request says, and notes it in the file that it names."""

    class Request(JobRequest):
        deed: str
        path: Path = Path(os.devnull)

    request: Request
    isolation: ClassVar[Literal["none", "process"]] = "process"
    timeout = timedelta(minutes=1)
    max_attempts = 1
    memory_limit: ClassVar[int | None] = 200 * MEBIBYTE

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def note(self, words: object) -> None:
        """Write a line to the file, for whoever watches from outside."""
        with self.request.path.open("a") as file:
            file.write(f"{words}\n")

    def do(self, context: JobExecutionContext) -> Coroutine[Any, Any, None] | None:
        """Do what the request says; what is async is left to be awaited."""
        deed: Any = getattr(self, self.request.deed)
        answer: Coroutine[Any, Any, None] | None = deed(context) if "context" in signature(deed).parameters else deed()
        return answer

    # --- what is right

    async def nothing(self) -> None:
        """Return at once."""

    def whoami(self) -> None:
        self.note(os.getpid())

    def told(self) -> None:
        settings = self._secret.settings
        self.note([settings.keeper.get_secret_value(), str(settings.opens)])

    def environment(self) -> None:
        self.note(dict(os.environ))

    def descriptors(self) -> None:
        self.note([what_is(number) for number in range(50)])
        status = Path("/proc/self/status").read_text()
        self.note([line for line in status.splitlines() if line.startswith("NoNewPrivs")])
        self.note([os.getpid() == os.getpgid(0), self._secret.process == os.getpid()])

    def logs(self, context: JobExecutionContext) -> None:
        context.log.warning("said by a job", colour="blue")

    async def waits(self, context: JobExecutionContext) -> None:
        self.note("begun")
        await asyncio.to_thread(context.stopping.wait)
        self.note("told to stop")

    async def sleeps(self) -> None:
        self.note("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.note("cancelled")
            raise

    def postpones(self) -> None:
        raise Busy("nest", retry_after=timedelta(minutes=1))

    # --- what is not

    def raises(self) -> None:
        raise KeyError("colour")

    def raises_wordless(self) -> None:
        raise WordlessError

    def raises_base(self) -> None:
        raise GeneratorExit("stop all")

    def exits(self) -> None:
        sys.exit(0)

    def exits_hard(self) -> None:
        os._exit(0)

    def exits_hard_3(self) -> None:
        os._exit(3)

    def segfaults(self) -> None:
        ctypes.string_at(0)

    def kills_itself(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def kills_what_started_it(self) -> None:
        os.kill(os.getppid(), signal.SIGKILL)
        threading.Event().wait()

    def aborts(self) -> None:
        os.abort()

    def meets_no_instruction(self) -> None:
        signal.raise_signal(signal.SIGILL)

    def is_of_real_time(self) -> None:
        signal.raise_signal(40)

    def has_no_memory_to_say_so(self) -> None:
        os._exit(OUT_OF_MEMORY)

    def bombs(self) -> None:
        self.note(len(bytearray(20 << 30)))

    def bombs_slowly(self) -> None:
        heap = []
        while True:
            heap.append(bytearray(MEBIBYTE))

    def loops(self) -> None:
        self.note("begun")
        while True:
            pass

    def holds_the_lock(self) -> None:
        self.note(os.getpid())
        ctypes.PyDLL(None).sleep(1000)  # PyDLL keeps the interpreter's lock: no other thread of Python runs

    def is_deaf(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL})
        self.loops()

    async def swallows(self) -> None:
        self.note("begun")
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    def floods(self) -> None:
        for _ in range(320):
            os.write(1, b"x" * MEBIBYTE)

    def prints(self) -> None:
        sys.stdout.write("hello\n")
        sys.stderr.write("world\n")
        os.system("echo from a shell")  # noqa: S605, S607 - a child inherits what it writes to

    def leaves_child(self) -> None:
        self.note(subprocess.Popen([sys.executable, "-c", CHILD]).pid)

    def leaves_child_and_loops(self) -> None:
        self.leaves_child()
        self.loops()

    def leaves_orphan(self) -> None:
        command = "sleep 1000 >/dev/null 2>&1 & echo $!"
        self.note(subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True).stdout)

    def leaves_fork(self) -> None:
        if (child := os.fork()) == 0:
            threading.Event().wait()
        self.note(child)

    def leaks_files(self) -> None:
        leaked.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(100_000))

    def keeps_memory(self) -> None:
        leaked.append(bytearray(120 * MEBIBYTE))

    def closes_everything(self) -> None:
        os.closerange(3, 1000)

    def talks_nonsense(self) -> None:
        for number in range(3, 50):
            if what_is(number).startswith("socket"):
                os.write(number, b'{"ending": ["glorious", 1, 2], "worn": 0}\n')
        self.loops()


leaked: list[Any] = []


class WordlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


async def exits() -> None:
    """End the process, if it were up to a task."""
    sys.exit(3)


def what_is(number: int) -> str:
    """Say what stands behind a file descriptor; nothing if it is not open."""
    with suppress(OSError):
        return str(Path(f"/proc/self/fd/{number}").readlink())
    return ""


@product("zoo")
@job_group("async")
class AsyncRogue(Rogue):
    """What it does blocks the event loop."""

    async def execute(self, context: JobExecutionContext) -> None:
        if (rest := self.do(context)) is not None:
            await rest


@product("zoo")
@job_group("sync")
class SyncRogue(Rogue):
    """The same in a thread."""

    def execute(self, context: JobExecutionContext) -> None:
        if (rest := self.do(context)) is not None:
            asyncio.run(rest)


@product("zoo")
@job_group("brief")
class BriefRogue(AsyncRogue):
    """The same with a time limit of its class."""

    timeout = timedelta(milliseconds=100)


@product("zoo")
@job_group("once")
class OnceRogue(AsyncRogue):
    """The same, never to be repeated."""

    at_most_once = True


@product("zoo")
@job_group("async")
class Porter(SchedulerTriggerListener):
    """Lets jobs through, and notes where it was asked; what is forbidden is vetoed."""

    async def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> bool:  # noqa: ARG002
        while context.request.deed == "vetoes_for_ever":
            pass
        return bool(context.request.deed == "forbidden")


class Fragile(Secret):
    def __init__(self) -> None:
        raise OSError("too cold")


class FragileModule(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        binder.bind_service(Fragile, provides=Secret)
        binder.bind_job(AsyncRogue)


class Wild(Rogue):
    """A rogue that nothing holds apart from the node."""

    isolation = "none"
    memory_limit = None

    def __init__(self) -> None:
        """Share nothing, so that each group has a loop of its own."""

    async def execute(self, context: JobExecutionContext) -> None:
        if (rest := self.do(context)) is not None:
            await rest

    # --- what the node promises to survive

    async def swallows_once(self) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def exits_later(self) -> None:
        await asyncio.create_task(exits())

    def writes_log(self, context: JobExecutionContext) -> None:
        for number in range(3000):
            context.log.warning("flood", number=number)

    def blocks(self) -> None:
        threading.Event().wait(BLOCKED_SECONDS)


@product("zoo")
@job_group("wild")
class WildAsync(Wild):
    """Raises and logs on its loop."""


@product("zoo")
@job_group("blocker")
class Blocker(Wild):
    """Blocks its loop."""


@product("zoo")
@job_group("endless")
class Endless(Wild):
    """Never gives its loop back."""


@product("zoo")
@job_group("threads")
class WildSync(Wild):
    """Does it in a thread."""

    def execute(self, context: JobExecutionContext) -> None:  # type: ignore[override]
        if (rest := self.do(context)) is not None:
            asyncio.run(rest)


@product("zoo")
@job_group("neighbours")
class Neighbour(SchedulerJob):
    """Wants nothing but to run on time."""

    async def execute(self, context: JobExecutionContext) -> None:
        """Do as good as nothing."""


class WildModule(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        for job_class in (WildAsync, Blocker, Endless, WildSync, Neighbour):
            binder.bind_job(job_class)


class RogueModule(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        binder.bind_settings("zoo", ZooSettings)
        binder.bind_service(Secret)
        binder.bind_job(AsyncRogue)
        binder.bind_job(SyncRogue)
        binder.bind_job(BriefRogue)
        binder.bind_job(OnceRogue)
        binder.bind_trigger_listener(Porter)
