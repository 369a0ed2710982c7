"""Jobs that misbehave, each in its own way, and a good neighbour. They are what a plugin may do at worst."""

import asyncio
import contextvars
import ctypes
import faulthandler
import gc
import locale
import logging.config
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, NoReturn

import structlog
from pydantic import BaseModel, SecretStr, field_validator

from mainspring import (
    Binder,
    Busy,
    JobExecutionContext,
    JobRequest,
    Retry,
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

    def do(self, context: JobExecutionContext) -> Any:
        """Do what the request says; what is async is left to be awaited."""
        deed: Any = getattr(self, self.request.deed)
        return deed(context) if "context" in signature(deed).parameters else deed()

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

    def says_and_answers(self, context: JobExecutionContext) -> str:
        context.log.info("half done")
        context.progress(1, 2)
        self.note(context.schedule("sync", when="2026-01-01T01:00:00Z", deed="nothing", path=os.devnull))
        return '"' * 32_000

    def says_and_is_killed(self, context: JobExecutionContext) -> None:
        logging.getLogger("some.library").warning("about to go")
        context.progress(1, 2, "on the way")
        threading.Event().wait(1)
        os.kill(os.getpid(), signal.SIGKILL)

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

    def surroundings(self) -> None:
        """Note all that a job may leave to the next one."""
        mask = os.umask(0o22)
        os.umask(mask)
        self.note(
            {
                "cwd": str(Path.cwd()),
                "umask": mask,
                "variable": os.environ.get("LEFT_BEHIND"),
                "locale": locale.setlocale(locale.LC_ALL),
                "limit": resource.getrlimit(resource.RLIMIT_CPU)[0],
                "timer": signal.getitimer(signal.ITIMER_REAL)[0],
                "handler": signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL,
                "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
                "trace": sys.gettrace() is None,
                "path": "/left/behind" in sys.path,
                "collector": gc.isenabled(),
                "recursion": sys.getrecursionlimit(),
                "processors": len(os.sched_getaffinity(0)),
                "stdout": sys.stdout is sys.__stdout__,
            }
        )

    # --- what is not

    def raises(self) -> None:
        raise KeyError("colour")

    def raises_unprintable(self) -> None:
        raise UnprintableError

    def asks_oddly(self) -> None:
        raise OddSignal

    def retries_oddly(self) -> None:
        raise Retry(OddDelay(seconds=1), "not now")

    def says_much(self) -> None:
        raise ValueError("\x1b[2J\u202e\n" * 1_000_000)

    async def stops_the_loop(self) -> None:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time

    async def exits_in_a_callback(self) -> None:
        asyncio.get_running_loop().call_soon(sys.exit, 3)
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time

    async def cancels_everybody(self) -> None:
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.Event().wait()

    async def makes_tasks_oddly(self) -> None:
        asyncio.get_running_loop().set_task_factory(no_task)

    def marks_its_context(self) -> None:
        mark.set("of a rogue")
        structlog.contextvars.bind_contextvars(event="forged", level="debug", run=0)

    def sets_an_alarm(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        threading.Event().wait(0.1)

    def leaves_an_alarm(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.1)

    def leaves_a_crash_timer(self) -> None:
        faulthandler.dump_traceback_later(0.1, exit=True)

    def changes_the_process(self) -> None:
        """Change what the process has for all."""
        os.chdir("/")
        os.umask(0)
        sys.setswitchinterval(10)
        socket.setdefaulttimeout(0.001)
        gc.disable()
        warnings.simplefilter("error")

    def changes_the_worker(self) -> None:
        """Leave all that to the next job that it may meet."""
        self.changes_the_process()
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        os.environ["LEFT_BEHIND"] = "by a rogue"
        locale.setlocale(locale.LC_ALL, "C")
        resource.setrlimit(resource.RLIMIT_CPU, (1, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        sys.path.insert(0, "/left/behind")
        sys.setrecursionlimit(5000)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        sys.stdout = sys.stderr
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
            sys.settrace(lambda *_: None)

    def takes_a_while(self) -> None:
        threading.Event().wait(0.3)

    def lowers_a_limit_for_good(self) -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))

    def closes_stdout(self) -> None:
        sys.stdout.close()

    def configures_logs(self) -> None:
        structlog.configure(processors=[drop])
        logging.config.dictConfig({"version": 1})
        logging.disable(logging.CRITICAL)

    def closes_stderr(self) -> None:
        sys.stderr.close()

    def outlives_its_limit(self) -> None:
        threading.Event().wait(3)

    def leaves_a_thread(self) -> None:
        threading.Thread(target=threading.Event().wait, name="left behind", daemon=False).start()

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


class UnkindType(type):
    """A class that does not tell its name."""

    @property
    def __name__(cls) -> NoReturn:  # type: ignore[override]
        raise SystemExit(3)


class UnprintableError(Exception, metaclass=UnkindType):
    """What nothing can be said of."""

    def __str__(self) -> NoReturn:
        raise SystemExit(3)

    __repr__ = __str__


class OddSignal(Retry):
    """A signal that raises when it is asked what it asks for."""

    def __init__(self) -> None: ...

    @property
    def ending(self) -> NoReturn:  # type: ignore[override]
        raise SystemExit(3)


class OddDelay(timedelta):
    """A delay that cannot be compared or added."""

    def _refuse(self, *_: object) -> NoReturn:
        raise SystemExit(3)

    __add__ = __radd__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __mul__ = _refuse


mark = contextvars.ContextVar("mark", default="of nobody")


def drop(*_: object) -> NoReturn:
    """Drop a line of the log."""
    raise structlog.DropEvent


def no_task(*_: object, **__: object) -> NoReturn:
    """Make no task."""
    raise SystemExit(3)


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

    async def execute(self, context: JobExecutionContext) -> Any:
        answer = self.do(context)
        return await answer if asyncio.iscoroutine(answer) else answer


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


def fail(error: BaseException) -> NoReturn:
    """Raise it."""
    raise error


def ignore_signals() -> None:
    """Let no signal end the service."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


DOES: dict[str, Callable[[], object]] = {
    "exits": lambda: sys.exit(3),
    "is cancelled": lambda: fail(asyncio.CancelledError()),
    "is closed": lambda: fail(GeneratorExit()),
    "is interrupted": lambda: fail(KeyboardInterrupt()),
    "is unprintable": lambda: fail(UnprintableError()),
    "has no words": lambda: fail(WordlessValueError()),
    "stops the loop": lambda: asyncio.get_running_loop().stop(),
    "exits in a callback": lambda: asyncio.get_running_loop().call_soon(sys.exit, 3),
    "makes tasks oddly": lambda: asyncio.get_running_loop().set_task_factory(no_task),
    "ignores signals": ignore_signals,
    "sets an alarm": lambda: signal.setitimer(signal.ITIMER_REAL, 0.01),
}
"""What a check of a request does, by its name."""


@product("zoo")
@job_group("checked")
class Checked(Wild):
    """Takes requests that are checked oddly."""

    class Request(Rogue.Request):
        """Its check does what it says, to the process of the API."""

        @field_validator("deed")
        @classmethod
        def does(cls, deed: str) -> str:
            """Do it."""
            DOES[deed]()
            return "nothing"


class WordlessValueError(ValueError):
    """What pydantic takes for a refusal, and nothing can be said of."""

    def __str__(self) -> NoReturn:
        raise SystemExit(3)


@product("zoo")
@job_group("neighbours")
class Neighbour(SchedulerJob):
    """Wants nothing but to run on time."""

    async def execute(self, context: JobExecutionContext) -> None:
        """Do as good as nothing."""


class WildModule(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        for job_class in (WildAsync, Blocker, Endless, WildSync, Checked, Neighbour):
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


class Deed(NamedTuple):
    """A deed of a group, and how its runs end: the outcome, and the reason or a pattern of it."""

    group: str
    deed: str
    outcome: str
    reason: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """What is meant to take too long has a second for it; all else as long as a busy machine may need."""
        return {"timeout": "PT1S"} if self.outcome == "timed_out" else {}

    @property
    def kills(self) -> bool:
        """Whether it ends its worker process, so that it is run three times."""
        return (self.reason or "").startswith("the worker process")


OVER_TIME = ("timed_out", "took longer than its limit of 1 s")
KILLED = "the worker process was killed by signal "
DEEDS = [
    Deed("async", "raises", "failed", "KeyError: 'colour'"),
    Deed("async", "raises_wordless", "failed", "WordlessError: a WordlessError that has no words"),
    Deed("async", "raises_base", "failed", "GeneratorExit: stop all"),
    Deed("async", "exits", "failed", "SystemExit: 0"),
    Deed("async", "exits_hard", "failed", "the worker process exited with code 0"),
    Deed("sync", "exits_hard_3", "failed", "the worker process exited with code 3"),
    Deed("async", "segfaults", "failed", KILLED + r"11 \(SIGSEGV\).*"),
    Deed("sync", "segfaults", "failed", KILLED + r"11 \(SIGSEGV\).*"),
    Deed("async", "kills_itself", "failed", KILLED + r"9 \(SIGKILL\).*memory.*"),
    Deed("sync", "aborts", "failed", KILLED + r"6 \(SIGABRT\).*"),
    Deed("async", "bombs", "failed", "MemoryError.*"),
    Deed("sync", "bombs_slowly", "failed", "MemoryError.*"),
    Deed("async", "loops", *OVER_TIME),
    Deed("sync", "loops", *OVER_TIME),
    Deed("async", "holds_the_lock", *OVER_TIME),
    Deed("async", "is_deaf", *OVER_TIME),
    Deed("async", "swallows", *OVER_TIME),
    Deed("async", "floods", "succeeded"),
    Deed("sync", "leaks_files", "failed", "OSError: .*Too many open files.*"),
    Deed("async", "leaves_child", "succeeded"),
    Deed("sync", "leaves_fork", "succeeded"),
    Deed("async", "leaves_child_and_loops", *OVER_TIME),
    Deed("async", "closes_everything", "failed", "the worker process lost its channel to the node.*"),
    Deed("async", "talks_nonsense", "failed", "the worker process broke its channel to the node"),
    Deed("async", "raises_unprintable", "failed", "UnprintableError: a UnprintableError that has no words"),
    Deed("async", "stops_the_loop", "succeeded"),
    Deed("async", "leaves_an_alarm", "succeeded"),
    Deed("async", "leaves_a_crash_timer", "succeeded"),
    Deed("sync", "changes_the_worker", "succeeded"),
    Deed("async", "lowers_a_limit_for_good", "succeeded"),
    Deed("wild", "raises_base", "failed", "GeneratorExit: stop all"),
    Deed("wild", "raises_wordless", "failed", "WordlessError: a WordlessError that has no words"),
    Deed("wild", "raises_unprintable", "failed", "UnprintableError: a UnprintableError that has no words"),
    Deed("wild", "asks_oddly", "failed", "asked for an ending that makes no sense: SystemExit"),
    Deed("wild", "retries_oddly", "failed", "not now"),
    Deed("wild", "says_much", "failed", r"(?s)ValueError: \x1b\[2J\u202e\n.*"),
    Deed("wild", "exits", "failed", "SystemExit: 0"),
    Deed("wild", "exits_later", "failed", "SystemExit: 3"),
    Deed("wild", "exits_in_a_callback", "succeeded"),
    Deed("wild", "stops_the_loop", "succeeded"),
    Deed("wild", "cancels_everybody", "failed", "the job raised CancelledError"),
    Deed("wild", "makes_tasks_oddly", "succeeded"),
    Deed("wild", "marks_its_context", "succeeded"),
    Deed("wild", "changes_the_process", "succeeded"),
    Deed("wild", "configures_logs", "succeeded"),
    Deed("wild", "swallows_once", *OVER_TIME),
    Deed("wild", "writes_log", "succeeded"),
    Deed("threads", "sleeps", *OVER_TIME),
    Deed("threads", "outlives_its_limit", *OVER_TIME),
    Deed("threads", "exits", "failed", "SystemExit: 0"),
    Deed("threads", "raises_unprintable", "failed", "UnprintableError: a UnprintableError that has no words"),
    Deed("threads", "sets_an_alarm", "succeeded"),
    Deed("threads", "changes_the_process", "succeeded"),
    Deed("threads", "closes_stderr", "succeeded"),
    Deed("threads", "leaves_a_thread", "succeeded"),
    Deed("blocker", "blocks", "succeeded"),
]
"""What kills its worker does so three times, and then no more.

The groups from `wild` on run in the node's own process.
"""
CHECKS = {
    "exits": "SystemExit",
    "is cancelled": "CancelledError",
    "is closed": "GeneratorExit",
    "is interrupted": "KeyboardInterrupt",
    "is unprintable": "UnprintableError",
    "has no words": "SystemExit",
    "stops the loop": "RuntimeError",
    "exits in a callback": "RuntimeError",
    "makes tasks oddly": "RuntimeError",
    "ignores signals": None,
    "sets an alarm": None,
}
"""What checks of requests do, and what they are blamed for in the answer: nothing, if the request is taken."""
