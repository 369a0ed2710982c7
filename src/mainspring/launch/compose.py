"""The composition root: the only file that knows all the others.

It makes a service or a node out of settings and runs it.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import inspect
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog
import uvicorn

from mainspring import logs
from mainspring.clock import Clock, SystemClock
from mainspring.errors import ConfigError, PortTakenError
from mainspring.execution import Lane, ProcessRunner, Quarantine, Runner, Spawner, job_loop
from mainspring.job import Events, JobKey, TurnFailed
from mainspring.node import HostLock, Node, Place, default_directory
from mainspring.plugins import Binding, Registry, ServiceScope, load, raise_together
from mainspring.schedule import zone_rules
from mainspring.service import Agenda, Moved, SchedulerService
from mainspring.settings import Settings
from mainspring.store import Store
from mainspring.web import Connection, create_app

FAREWELL_SECONDS = 5.0
"""How long the services of plugins may take to clean up."""

LINGER_SECONDS = 1.0
"""How long a service that has stopped still answers: a proxy that sees `/readyz` turn red needs that to look away."""

FOLLOW_PAUSE_SECONDS = 1.0
"""How long to wait before schedules that could not be planned anew are tried again."""

T = TypeVar("T")
log = structlog.get_logger("mainspring")


def serve(settings: Settings) -> int:
    """Run a node with the REST interface until SIGTERM or SIGINT; answer the exit code.

    Raises `ConfigError`, and `StoreUnavailableError` when the store cannot be reached.
    """
    logs.configure(settings)
    registry = load_registry(settings)
    with listening(settings) as listener:
        return _run(_serve, settings, registry, listener)


def node(settings: Settings) -> int:
    """Run a node without the REST interface until SIGTERM or SIGINT; answer the exit code. Raises like `serve`."""
    logs.configure(settings)
    return _run(_node, settings, load_registry(settings))


def load_registry(settings: Settings) -> Registry:
    """Load and check the plugins, those in the working directory too. Raises `ConfigError` with all their problems."""
    if settings.plugins and not {"", str(Path.cwd())} & set(sys.path):
        sys.path.insert(0, str(Path.cwd()))  # `python -m` does this, the installed command does not
    return load(settings.plugins)


def make_store(url: str) -> Store:
    """Return the store that a URL names; it is not open yet. Raises `ConfigError`."""
    if url in {"memory", "memory:"}:
        from mainspring.store.sqlite import SqliteStore  # noqa: PLC0415 - only the store that is used is loaded

        return SqliteStore(None, SystemClock())
    if (path := _sqlite_path(url)) is not None:
        from mainspring.store.sqlite import SqliteStore  # noqa: PLC0415

        return SqliteStore(path, SystemClock())
    if _is_postgres(url):
        from mainspring.store.postgres import PostgresStore  # noqa: PLC0415

        return PostgresStore(url)
    raise ConfigError(
        f"the store {url.partition(':')[0]!r} is unknown; use memory:, sqlite:///path/to/file.db or postgresql://user@host/database"
    )


# --- the schema


def db_upgrade(settings: Settings) -> str:
    """Make the store's schema or bring it up to date. Raises `ConfigError`."""
    if _is_postgres(settings.store):
        from mainspring.store.postgres import upgrade_schema  # noqa: PLC0415

        upgrade_schema(settings.store)
    else:
        _open_and_close(settings.store)
    return "The job store's schema is up to date."


def db_check(settings: Settings) -> str:
    """Check that the store can be reached and its schema fits. Raises `ConfigError`."""
    if _is_postgres(settings.store):
        from mainspring.store.postgres import check_schema  # noqa: PLC0415

        check_schema(settings.store)
    else:
        path = _sqlite_path(settings.store)
        if path is None:
            return "Jobs live in memory; their schema is made at each start."
        if not path.exists():
            return f"There is no {path} yet; the service makes it when it starts."
        from mainspring.store.sqlite import check_schema as check_file  # noqa: PLC0415

        check_file(path)
    return "The job store can be reached and its schema fits."


def moved_by_zone_rules(settings: Settings) -> tuple[str | None, list[Moved]]:
    """Return by which rules of time zones the stored jobs were planned, and the jobs that those in use would move.

    Raises `ConfigError`, also while another process uses a SQLite file.
    """
    path = _sqlite_path(settings.store)
    if not _is_postgres(settings.store) and (path is None or not path.exists()):
        return None, []

    async def look() -> tuple[str | None, list[Moved]]:
        store = make_store(settings.store)
        await store.open()
        try:
            agenda = Agenda(store)
            return await agenda.noted_zone_rules(), [each async for each in agenda.moved_by_zone_rules()]
        finally:
            await store.close()

    return _run(look)


def db_rebuild(settings: Settings) -> str:
    """Drop all jobs and history and make the schema anew. Raises `ConfigError`."""
    if _is_postgres(settings.store):
        from mainspring.store.postgres import rebuild_schema  # noqa: PLC0415

        rebuild_schema(settings.store)
    elif path := _sqlite_path(settings.store):
        _open_and_close(settings.store)  # refuses while a service uses it
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        _open_and_close(settings.store)
    return "The job store was rebuilt; it is empty."


def _sqlite_path(url: str) -> Path | None:
    path = url.removeprefix("sqlite:///")
    return Path(path) if path != url and path else None


def _is_postgres(url: str) -> bool:
    return url.startswith(("postgresql://", "postgres://"))


def _open_and_close(url: str) -> None:
    async def look() -> None:
        store = make_store(url)
        await store.open()
        await store.close()

    _run(look)


# --- processes


def _run(main: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        return runner.run(main(*arguments))


def _event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _node(settings: Settings, registry: Registry) -> int:
    async with _prepared(settings, registry) as (node, store, events), _schedules_up_to_date(settings, store, events):
        await node.run()
    return 0


@asynccontextmanager
async def _schedules_up_to_date(settings: Settings, store: Store, events: Events) -> AsyncIterator[None]:
    """Write the calendars of the settings; let jobs follow them and the rules of time zones, while others go on."""
    agenda = Agenda(store)
    changed = await agenda.adopt(settings.calendars)
    following = asyncio.create_task(_follow(agenda, changed, events))
    try:
        yield
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def _follow(agenda: Agenda, calendars: Sequence[str], events: Events) -> None:
    """Plan jobs anew until all follow; a store that is away may come back."""
    clock, waiting = SystemClock(), list(calendars)
    while True:
        try:
            if (moved := await agenda.follow_zone_rules()) is not None:
                log.info("schedules follow the rules of time zones", tzdata=zone_rules(), moved=moved)
            while waiting:
                moved = await agenda.plan_anew(calendar=waiting[-1])
                log.info("schedules follow a calendar of the settings", calendar=waiting.pop(), moved=moved)
        except Exception as error:  # noqa: BLE001 - a background turn: announced, and tried again
            events.announce(TurnFailed("schedules", error))
            await clock.sleep(FOLLOW_PAUSE_SECONDS)
        else:
            return


async def _serve(settings: Settings, registry: Registry, listener: socket.socket) -> int:
    clock = SystemClock()
    async with _prepared(settings, registry) as (node, store, events), _schedules_up_to_date(settings, store, events):
        service = SchedulerService(store=store, registry=registry, clock=clock, events=events)
        app = create_app(service=service, registry=registry, store=store, ready=lambda: node.ready)
        server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                http=Connection,
                timeout_graceful_shutdown=5,
            )
        )
        node.yielding.requests = lambda: len(server.server_state.tasks)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        host, port = listener.getsockname()[:2]
        log.info("serving", url=f"http://{host}:{port}", store=settings.store_shown, durable=store.durable)
        try:
            await node.run()
            await clock.sleep(LINGER_SECONDS)
        finally:
            server.should_exit = True
            await serving
    return 0


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the node drains before the server stops answering."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us."""
        yield


@asynccontextmanager
async def _prepared(settings: Settings, registry: Registry) -> AsyncIterator[tuple[Node, Store, Events]]:
    """Make a node that signals can stop, open its store, build its services; undo all in the opposite order."""
    clock, events, store = SystemClock(), Events(), make_store(settings.store)
    logs.subscribe(events, settings)
    if not store.durable:
        log.warning("jobs live in memory only and are gone when this process ends")
    async with _Lanes(registry, clock, settings) as lanes:
        node = Node(
            store=store,
            registry=registry,
            lanes=lanes.by_key,
            clock=clock,
            events=events,
            settings=settings,
            place=Place(lanes.heart, HostLock(default_directory() if store.shared else None), lanes.quarantine),
        )
        with _stopped_by_signals(node):
            await store.open()
            try:
                await lanes.open()
                _spare_the_collector()
                yield node, store, events
            finally:
                await lanes.close()
                await store.close()


class _Lanes(AsyncExitStack):
    """The lane of each group: a loop for each scope, and one without user code for what runs in worker processes.

    That is the groups that ask for it, and whatever may be what kills its nodes. And a loop for the node's heart.
    """

    def __init__(self, registry: Registry, clock: Clock, settings: Settings) -> None:
        super().__init__()
        self._registry = registry
        self._clock = clock
        self._settings = settings
        self._scopes: list[tuple[asyncio.AbstractEventLoop, ServiceScope]] = []
        self._spawner = Spawner()
        self._workers = ProcessRunner(registry, clock, settings, self._spawner)
        self._quarantined = ProcessRunner(registry, clock, settings, self._spawner, shared=True)
        self.by_key: dict[JobKey, Lane] = {}

    async def __aenter__(self) -> Self:
        self.heart = self._loop("heart")
        for scope in self._registry.scopes:
            ours = [binding for binding in scope.bindings if binding.job_class.isolation == "none"]
            if ours or not scope.bindings:
                self._add(scope, ours)
        loop = self._loop("workers")
        self.quarantine = Quarantine(loop, self._quarantined)
        for key in self._registry.bindings.keys() - self.by_key.keys():
            self.by_key[key] = Lane(loop, self._workers.run, self._settings.processes)
        return self

    def _add(self, scope: ServiceScope, bindings: Sequence[Binding]) -> None:
        loop = self._loop(f"jobs-{len(self._scopes)}")
        runner = Runner(self._registry, self._clock, self._settings.threads)
        self._scopes.append((loop, scope))
        for binding in bindings:
            is_async = inspect.iscoroutinefunction(binding.job_class.execute)
            self.by_key[binding.key] = Lane(loop, runner.run, None if is_async else self._settings.threads)

    def _loop(self, name: str) -> asyncio.AbstractEventLoop:
        return self.enter_context(job_loop(_event_loop(), name))

    async def open(self) -> None:
        """Build all services, each on its loop. Raises `ConfigError` with every one that fails."""
        problems = []
        for loop, scope in self._scopes:
            try:
                self._registry.bound |= await _on(loop, scope.open())
            except ConfigError as error:
                problems.append(str(error))
        raise_together(problems)

    async def close(self) -> None:
        """Let workers go and clean up all services, but wait for no loop that a job blocks."""
        farewells = [_on(loop, scope.close()) for loop, scope in self._scopes]
        farewells.append(_on(self.quarantine.loop, self._let_workers_go()))
        for farewell in asyncio.as_completed(farewells, timeout=FAREWELL_SECONDS):
            try:
                await farewell
            except Exception:
                log.exception("a service of a plugin could not be cleaned up")

    async def _let_workers_go(self) -> None:
        await asyncio.gather(self._workers.close(), self._quarantined.close())
        await self._spawner.close()


def _spare_the_collector() -> None:
    """Keep the garbage collector from walking through all imports each time that some thousand tuples were made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


@contextmanager
def _stopped_by_signals(node: Node) -> Iterator[None]:
    """Let SIGTERM, SIGINT and SIGHUP stop the node; a second one makes it hurry."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, node.stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """Bind the address before anything else starts, so that a port that is taken costs nothing."""
    where = f"{settings.host}:{settings.port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048, reuse_port=False)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(
                f"{where} is taken by another process; stop it or choose another port with --port"
            ) from error
        raise PortTakenError(f"cannot listen on {where}: {error.strerror or error}") from error
    with listener:
        yield listener
