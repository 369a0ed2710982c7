"""The composition root: the only file that knows all the others.

It makes a service or a node out of settings and runs it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from mainspring import logs
from mainspring.clock import SystemClock
from mainspring.declared import AllowedTargets, Reach, Webhook
from mainspring.errors import ConfigError, InvalidRequestError
from mainspring.execution import NODE, Host, Thing, load_all, ring_in_vain
from mainspring.job import DELIVERIES, PENDING, Declaration, Events, JobKey, NodeStopping, Scope
from mainspring.launch.lanes import Lanes
from mainspring.launch.loops import run
from mainspring.launch.serve import answered_hosts, authority, http_server, listening
from mainspring.launch.signals import stopped_by_signals
from mainspring.node import HostLock, Node, Place, default_directory
from mainspring.plugins import Registry
from mainspring.schedule import zone_rules
from mainspring.service import CalendarService, Moved, Replanning, SchedulerService
from mainspring.settings import Settings
from mainspring.store import Notes, Store, backend
from mainspring.web import StoreCalls, create_app

LINGER_SECONDS = 1.0
"""How long a service that has stopped still answers: a proxy that sees `/readyz` turn red needs that to look away."""

TAKE_UP_SECONDS = 30.0
"""How often it is looked for jobs that nobody has follow their calendar any more."""
COLLECT_AFTER = (50_000, 20, 50)
"""After how many new objects garbage is collected: some thousand tuples are made all the time, and are no garbage."""

PUT_BACK_SECONDS = 1.0
"""How often is looked whether a plugin has changed the process."""

THREAD_SECONDS = 1.0
"""How long threads that plugins have started may take to end, when all else has ended."""
DESCRIPTORS = 64
"""How many files and connections a node has open: 12 by itself, 11 to its database, the rest for a few clients."""
DESCRIPTORS_OF_A_LOOP = 8
"""How many the loop of one group of services adds, without what the services open."""

CATCH_UP_PAUSE_SECONDS = 1.0
"""How long to wait before what failed at the start is tried again."""

T = TypeVar("T")
log = logs.logger("mainspring")


def serve(settings: Settings) -> int:
    """Run a node with the REST interface until SIGTERM or SIGINT; answer the exit code.

    Raises `ConfigError`, and `StoreUnavailableError` when the store cannot be reached.
    """
    logs.configure(settings)
    threads = threading.enumerate()
    registry = _load_apart(settings)
    check_descriptors(registry)
    with listening(settings) as listener:
        code = run(_serve, settings, registry, listener)
    return _leave(code, threads)


def node(settings: Settings) -> int:
    """Run a node without the REST interface until SIGTERM or SIGINT; answer the exit code. Raises like `serve`."""
    logs.configure(settings)
    threads = threading.enumerate()
    registry = _load_apart(settings)
    check_descriptors(registry)
    return _leave(run(_node, settings, registry), threads)


def load_registry(settings: Settings) -> Registry:
    """Load and check the plugins, those in the working directory too. Raises `ConfigError` with all their problems."""
    with suppress(FileNotFoundError):  # somebody removed it, and there is nothing in it
        if settings.plugins and not {"", str(Path.cwd())} & set(sys.path):
            sys.path.insert(0, str(Path.cwd()))  # `python -m` does this, the installed command does not
    registry = load_all(settings)
    registry.limits.update({Scope.named(name): limits for name, limits in settings.limits.items()})
    if settings.jobs is not None:
        _check_declared(registry, settings.jobs)
        registry.declared["settings"] = settings.jobs
    return registry


def _check_declared(registry: Registry, declared: Sequence[Declaration]) -> None:
    """Raise `ConfigError` with all that is wrong with the jobs that settings declare of groups that are here."""
    problems = []
    for number, declaration in enumerate(declared):
        if any(other.job_id == declaration.job_id for other in declared[:number]):
            problems.append(f"jobs[{number}]: {declaration} is declared twice")
        if (binding := registry.bindings.get(declaration.key)) is not None:
            try:
                binding.check(declaration)
            except InvalidRequestError as error:
                problems += [f"jobs[{number}]: {declaration}: {each.pointer} {each.detail}" for each in error.problems]
    if problems:
        raise ConfigError("\n  ".join(["The declared jobs are not right:", *problems]))


def check_machine(settings: Settings, registry: Registry) -> str:
    """Check that this machine lets a node begin, and say so; nothing is changed. Raises `ConfigError`."""
    check_descriptors(registry)
    marks = default_directory()
    if backend(settings.store).make(settings.store).shared and marks is not None and os.path.lexists(marks):
        HostLock(marks)
    return "a node finds what it needs"


def check_descriptors(registry: Registry) -> None:
    """Raise `ConfigError` if this process may not open as many files and connections as it needs to begin."""
    needed = DESCRIPTORS + DESCRIPTORS_OF_A_LOOP * len(registry.scopes)
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < needed:
        raise ConfigError(
            f"this process may have {allowed} files and connections open, and needs at least {needed}; raise the limit "
            "with ulimit -n, or LimitNOFILE= of systemd"
        )


def db_upgrade(settings: Settings, *, force: bool = False) -> str:
    """Make the store's schema or bring it up to date, and say what was done.

    Raises `ConfigError`, and `NodesAliveError`, unless by `force`, while nodes work with it.
    """
    return backend(settings.store).upgrade(settings.store, force=force)


def db_check(settings: Settings) -> str:
    """Check that a service or node could use the store, and say so. Raises `ConfigError`."""
    return backend(settings.store).check(settings.store)


def db_rebuild(settings: Settings) -> str:
    """Drop all jobs and history and make the schema anew. Raises `ConfigError`."""
    backend(settings.store).rebuild(settings.store)
    return "The job store was rebuilt; it is empty."


def moved_by_zone_rules(settings: Settings) -> tuple[str | None, list[Moved]]:
    """Return by which rules of time zones the stored jobs were planned, and the jobs that those in use would move.

    Raises `ConfigError`, also while another process uses a SQLite file.
    """

    async def look(store: Store) -> tuple[str | None, list[Moved]]:
        notes = Notes(store, SystemClock())
        moved = [each async for each in Replanning(store, notes).moved_by_zone_rules()]
        return await notes.zone_rules(), moved

    nothing: tuple[str | None, list[Moved]] = (None, [])
    return _look(settings, look, nothing)


def jobs_without_plugin(settings: Settings, registry: Registry) -> Mapping[JobKey, int]:
    """Return how many jobs wait in groups that no plugin here has. Raises like `moved_by_zone_rules`."""

    async def look(store: Store) -> Mapping[JobKey, int]:
        return await _without_plugin(store, registry)

    return _look(settings, look, {})


def _look(settings: Settings, look: Callable[[Store], Awaitable[T]], nothing: T) -> T:
    """Return what there is in the store, or `nothing` if no service has used it yet."""
    if not backend(settings.store).may_have_jobs(settings.store):
        return nothing

    async def look_and_close() -> T:
        store = backend(settings.store).make(settings.store)
        await store.open()
        try:
            return await look(store)
        finally:
            await store.close()

    return run(look_and_close)


async def _without_plugin(store: Store, registry: Registry) -> Mapping[JobKey, int]:
    found = await store.counts()
    counts = {key: sum(counts.states.get(state, 0) for state in PENDING) for key, counts in found.items()}
    return {key: count for key, count in sorted(counts.items()) if count and key not in registry.bindings}


# --- processes


class Parts(NamedTuple):
    """What a process is made of."""

    node: Node
    store: Store
    notes: Notes
    service: SchedulerService


async def _node(settings: Settings, registry: Registry) -> int:
    async with _prepared(settings, registry) as parts, _schedules_up_to_date(settings, parts, registry):
        await parts.node.run()
    return 0


async def _serve(settings: Settings, registry: Registry, listener: socket.socket) -> int:
    clock = SystemClock()
    async with _prepared(settings, registry) as parts, _schedules_up_to_date(settings, parts, registry):
        node, store, notes, service = parts
        telling = asyncio.create_task(_catch_up("plugins", partial(_tell_of_plugins, store, registry), node))
        calendars = CalendarService(store, notes)
        app = create_app(
            service=service,
            calendars=calendars,
            registry=registry,
            obstacle=lambda: node.obstacle,
            hosts=answered_hosts(settings, listener),
        )
        server = http_server(app)
        node.yielding.requests = server.server_state.requests
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        host, port = listener.getsockname()[:2]
        log.info("serving", url=f"http://{authority(host, port)}", store=settings.store_shown, durable=store.durable)
        try:
            await node.run()
            await clock.sleep(LINGER_SECONDS)
        finally:
            telling.cancel()
            server.should_exit = True
            await serving
    return 0


async def _tell_of_plugins(store: Store, registry: Registry) -> None:
    """Warn of jobs that wait for a plugin that is missing here; another node may have it."""
    if waiting := await _without_plugin(store, registry):
        groups = ", ".join(f"{key}: {count}" for key, count in waiting.items())
        log.warning("jobs wait in groups that no plugin here has", groups=groups)


@asynccontextmanager
async def _prepared(settings: Settings, registry: Registry) -> AsyncIterator[Parts]:
    """Make a node that signals can stop, open its store, build its services; undo all in the opposite order."""
    clock, events = SystemClock(), Events()
    store = backend(settings.store).make(settings.store)
    notes = Notes(store, clock)
    logs.subscribe(events, settings)
    if not store.durable:
        log.warning("jobs live in memory only and are gone when this process ends")
    if registry.unbound:
        log.warning("settings of plugins that are not loaded here", sections=list(registry.unbound))
    if missing := [str(each) for each in settings.jobs or () if each.key not in registry.bindings]:
        log.warning("declared jobs of job groups that no plugin here has", jobs=missing)
    if unknown := [
        name for name in settings.limits if not any(Scope.named(name).has(key) for key in registry.bindings)
    ]:
        log.warning("limits of job groups that no plugin here has", scopes=unknown)
    reach = Reach(settings.secrets, AllowedTargets(settings.allowed_targets.get(DELIVERIES.product, ())))
    service = SchedulerService(store=store, notes=notes, registry=registry, clock=clock, events=events, reach=reach)
    events.subscribe(NodeStopping, lambda _: service.feed.end())
    calls = StoreCalls(service, registry)
    async with Lanes(registry, clock, settings, calls) as lanes:
        host_lock = HostLock(default_directory() if store.shared else None)
        if store.shared and host_lock.trouble:
            log.warning("a node that died on this host is found late", reason=host_lock.trouble)
        node = Node(
            store=store,
            notes=notes,
            registry=registry,
            place=Place(lanes.by_key, lanes.slots, lanes.heart, host_lock, lanes.quarantine),
            clock=clock,
            events=events,
            settings=settings,
        )
        gc.set_threshold(*COLLECT_AFTER)
        opening = asyncio.current_task()

        def stop() -> None:
            if opening is None:
                node.stop()
            else:
                opening.cancel()

        with stopped_by_signals(stop), _kept_as_it_is():
            await store.open()
            try:
                await lanes.open()
                _spare_the_collector()
                opening = None
                yield Parts(node, store, notes, service)
            finally:
                await lanes.close()
                await calls.close()
                await store.close()


def _spare_the_collector() -> None:
    """Keep the garbage collector from walking through all imports each time that it collects."""
    gc.collect()
    gc.freeze()


# --- a process with code of plugins in it


def _load_apart(settings: Settings) -> Registry:
    """Load the plugins; what their modules have changed of the process is put back. Raises like `load_registry`."""
    ring_in_vain()
    host = Host(NODE)
    try:
        return load_registry(settings)
    finally:
        _put_back(host)


@contextmanager
def _kept_as_it_is() -> Iterator[None]:
    """Put back again and again what code of plugins has changed of the process."""
    loop = asyncio.get_running_loop()
    host = Host([*NODE, Thing("task factory", loop.get_task_factory, loop.set_task_factory)])
    keeping = asyncio.create_task(_keep(host))
    try:
        yield
    finally:
        keeping.cancel()


async def _keep(host: Host) -> None:
    clock = SystemClock()
    while True:
        await clock.sleep(PUT_BACK_SECONDS)
        _put_back(host)


def _put_back(host: Host) -> None:
    changed, lost = host.put_back()
    if changed:
        log.warning("a plugin changed the process; it was put back", changed=changed, lost=lost)


def _leave(code: int, known: Collection[threading.Thread]) -> int:
    """Return the exit code, or exit with it at once, if threads that plugins have started go on.

    Python would wait for them for ever, as they are no daemons. `known` are those that were there before.
    """
    ours = [thread for thread in threading.enumerate() if thread not in known and not thread.daemon]
    for thread in ours:
        thread.join(THREAD_SECONDS / len(ours))  # one of a pool ends when it hears that nothing more will come
    if left := [thread.name for thread in ours if thread.is_alive()]:
        log.warning("threads of plugins go on; the process ends without them", threads=left)
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(code)
    return code


# --- schedules that must follow


@asynccontextmanager
async def _schedules_up_to_date(settings: Settings, parts: Parts, registry: Registry) -> AsyncIterator[None]:
    """Write the calendars of the settings, and let jobs follow them and the rules of time zones, while others go on.

    And let those follow that are declared, and hand events on to webhooks.
    """
    changed = await CalendarService(parts.store, parts.notes).adopt(settings.calendars)
    replanning = Replanning(parts.store, parts.notes)
    follow = partial(_follow, replanning, list(changed))
    declare = partial(_declare, parts.service, registry)
    following = [
        asyncio.create_task(_catch_up("declared jobs", declare, parts.node)),
        asyncio.create_task(_catch_up("schedules", follow, parts.node)),
        asyncio.create_task(_take_up(replanning, parts.service, parts.node)),
        asyncio.create_task(_deliver(parts.service, settings.webhooks, parts.node)),
    ]
    try:
        yield
    finally:
        for task in following:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _declare(service: SchedulerService, registry: Registry) -> None:
    """Publish what requests look like, and have the jobs follow that plugins and settings declare."""
    await service.cluster.publish()
    for source, declared in registry.declared.items():
        for name, what in await service.declaring.adopt(source, declared):
            log.info("declared job", job=name, was=what, source=source)


async def _deliver(service: SchedulerService, declared: Sequence[Webhook] | None, node: Node) -> None:
    """Write the webhooks of the settings, and hand events on to all, as long as this process lives."""
    if declared is not None:
        await _catch_up("webhooks", partial(_adopt, service, declared), node)
    while True:
        await _catch_up("webhooks", lambda: service.delivering.turn(node.name), node)
        await SystemClock().sleep(service.delivering.pause)


async def _adopt(service: SchedulerService, declared: Sequence[Webhook]) -> None:
    for name, what in await service.webhooks.adopt(declared):
        log.info("declared webhook", webhook=name, was=what)


async def _take_up(replanning: Replanning, service: SchedulerService, node: Node) -> None:
    """Go on with what a process that died left half way, as long as this one lives."""
    while True:
        await _catch_up("schedules", replanning.take_up, node)
        await _catch_up("actions", service.actions.take_up, node)
        await SystemClock().sleep(TAKE_UP_SECONDS)


async def _follow(replanning: Replanning, calendars: list[str]) -> None:
    """Plan jobs anew until all follow."""
    if (moved := await replanning.follow_zone_rules()) is not None:
        log.info("schedules follow the rules of time zones", tzdata=zone_rules(), moved=moved)
    while calendars:
        moved = await replanning.plan_anew(calendar=calendars[-1])
        log.info("schedules follow a calendar of the settings", calendar=calendars.pop(), moved=moved)


async def _catch_up(loop: str, turn: Callable[[], Awaitable[None]], node: Node) -> None:
    """Do at the start, beside all else, what needs the store; one that is away may come back."""
    clock = SystemClock()
    while True:
        try:
            await turn()
        except Exception as error:  # noqa: BLE001 - a background turn: announced, and tried again
            node.outage.failed(loop, error)
            await clock.sleep(CATCH_UP_PAUSE_SECONDS)
        else:
            node.outage.worked(loop)
            return
