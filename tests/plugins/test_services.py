import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from mainspring.clock import ManualClock, SystemClock
from mainspring.errors import ConfigError
from tests.plugins.conftest import (
    BACKUPS,
    NOBODY,
    Check,
    Configure,
    HttpVms,
    Keeper,
    ListensWithVms,
    NeedsClock,
    NeedsVms,
    Quota,
    Vms,
    Work,
    a_job_class,
    a_listener,
    a_registry,
    anything,
    binds,
    opened,
    sentences,
)


class A:
    def __init__(self, b: "B") -> None: ...


class B:
    def __init__(self, a: A) -> None: ...


def test_services_that_need_each_other() -> None:
    """A circle is found before anything is built, and all in it are named, none of the machinery is."""
    with pytest.raises(ConfigError) as caught:
        a_registry(binds(services=[A, B]))
    assert all(f"test_services.{name}" in str(caught.value) for name in "AB")
    assert "<locals>" not in str(caught.value)


async def test_services_are_injected_by_annotation() -> None:
    """What is asked for by a type is what was bound to provide it: one instance for all that ask, of all plugins."""
    async with opened(
        binds(a_job_class(NeedsVms), listeners=[a_listener(ListensWithVms)]),
        binds(a_job_class(NeedsVms, NOBODY), services={HttpVms: Vms}),
    ) as registry:
        group = registry.bound[BACKUPS]
        askers: list[Any] = [
            group.make_job(),
            *(asked for asked, _ in group.listeners),
            registry.bound[NOBODY].make_job(),
        ]
        assert [HttpVms] * 3 == [type(asker.vms) for asker in askers]
        assert 1 == len({id(asker.vms) for asker in askers})


def keeper(vms: Vms, *, quota: Quota = anything, size: int = 3) -> Keeper:
    """Make a keeper in a function."""
    return Keeper(vms, quota, size)


async def async_keeper(vms: Vms, *_: Quota, quota: Quota = anything, **__: Vms) -> Keeper:
    """Make a keeper in a coroutine."""
    return Keeper(vms, quota)


def yielded_keeper(vms: Vms, quota: Quota = anything) -> Iterator[Keeper]:
    """Make a keeper in a generator."""
    yield Keeper(vms, quota)


async def async_yielded_keeper(vms: Vms, quota: Quota = anything) -> AsyncIterator[Keeper]:
    """Make a keeper in an asynchronous generator."""
    yield Keeper(vms, quota)


class NeedsKeeper(Work):
    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper


@pytest.mark.parametrize("services", [[HttpVms], [HttpVms, Quota]], ids=["default", "bound"])
@pytest.mark.parametrize("source", [Keeper, keeper, async_keeper, yielded_keeper, async_yielded_keeper])
async def test_a_service_is_made_from_what_is_bound(source: Callable[..., Any], services: list[type]) -> None:
    """Classes and functions of every kind are given what is bound; the rest keeps its default."""
    provided: dict[type, Any] = {HttpVms: Vms, Quota: Quota}
    configure = binds(a_job_class(NeedsKeeper), services={source: None} | {cls: provided[cls] for cls in services})
    async with opened(configure) as registry:
        job: Any = registry.bound[BACKUPS].make_job()
        vms, quota, size = job.keeper.given
        assert isinstance(vms, HttpVms)
        assert isinstance(quota, Quota) if Quota in services else quota is anything
        assert 3 == size


async def test_the_clock_is_there_for_all() -> None:
    """Whoever asks for a `Clock` gets the registry's, or the machine's."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    async with opened(binds(a_job_class(NeedsClock)), clock=clock) as registry:
        job: Any = registry.bound[BACKUPS].make_job()
        assert clock is job.clock
    async with opened(binds(a_job_class(NeedsClock))) as registry:
        job = registry.bound[BACKUPS].make_job()
        assert isinstance(job.clock, SystemClock)


Log = list[str]


def cleaned_up(way: str, log: Log) -> type:
    """Make a class that is cleaned up this way."""

    def sync(_self: object, *_: object) -> None:
        log.append(way)

    async def coroutine(_self: object, *_: object) -> None:
        log.append(way)

    name = way.removeprefix("async ")
    return type("Service", (), {name: coroutine if way in {"__aexit__", "aclose"} or name != way else sync})


@pytest.mark.parametrize("way", ["__aexit__", "aclose", "__exit__", "close", "async close"])
async def test_clean_up(way: str) -> None:
    """A service is cleaned up once, when the registry is closed, in the way that its class has."""
    log: Log = []
    async with opened(binds(services=[cleaned_up(way, log)])):
        assert [] == log
    assert [way] == log


async def test_clean_up_that_is_most_thorough() -> None:
    """Of several ways the first is taken, and no other."""
    log: Log = []
    ways = [cleaned_up(way, log) for way in ("close", "__exit__", "aclose", "__aexit__")]
    for n, expected in enumerate(["close", "__exit__", "aclose", "__aexit__"], start=1):
        log.clear()
        async with opened(binds(services=[type("Service", tuple(ways[:n]), {})])):
            pass
        assert [expected] == log


async def test_clean_up_of_what_a_function_made_is_the_functions() -> None:
    """A function that returns a service does not hand it over: what it closes it closes itself, after its yield."""
    log: Log = []
    closing = cleaned_up("close", log)

    def returned() -> Vms:
        made: Vms = closing()
        return made

    def yielded() -> Iterator[Quota]:
        yield Quota()
        log.append("yielded")

    async def async_yielded() -> AsyncIterator[Keeper]:
        yield Keeper(HttpVms())
        log.append("async yielded")

    async with opened(binds(services=[returned, yielded, async_yielded])):
        assert [] == log
    assert ["async yielded", "yielded"] == log


def a_chain(log: Log, *, failing: str = "") -> Configure:
    """Bind a pool, a client that needs it, and an API that needs that; each notes that it is closed."""

    class Noting:
        def close(self) -> None:
            log.append(type(self).__name__)
            if type(self).__name__ == failing:
                raise RuntimeError("cannot be closed")

    class Pool(Noting):
        pass

    class Client(Noting):
        def __init__(self, pool: Any) -> None: ...

    class Api(Noting):
        def __init__(self, client: Any) -> None: ...

    Client.__init__.__annotations__["pool"] = Pool
    Api.__init__.__annotations__["client"] = Client
    return binds(services=[Client, Api, Pool])


async def test_clean_up_goes_against_the_order_of_need() -> None:
    """Nothing is closed while something that needs it is open, in whatever order they were bound."""
    log: Log = []
    async with opened(a_chain(log)):
        pass
    assert ["Api", "Client", "Pool"] == log


async def test_clean_up_that_fails_stops_no_other() -> None:
    """All services are cleaned up, and then it is said what failed."""
    log: Log = []
    registry = a_registry(a_chain(log, failing="Client"))
    await registry.open()
    with pytest.raises(ExceptionGroup) as caught:
        await registry.close()
    assert caught.group_contains(RuntimeError, match="cannot be closed")
    assert ["Api", "Client", "Pool"] == log


class Doom(BaseException):
    """Not even an `Exception`."""


ENDS: list[type[BaseException]] = [asyncio.CancelledError, SystemExit, KeyboardInterrupt, GeneratorExit, Doom]


def closing(error: type[BaseException], way: str) -> Any:
    """Make a service whose clean-up raises: a class, or a function that cleans up after its yield."""

    class Service:
        def close(self) -> None:
            if way == "class":
                raise error

    def make() -> Iterator[Service]:
        yield Service()
        raise error

    return Service if way == "class" else make


@pytest.mark.parametrize("error", ENDS)
@pytest.mark.parametrize("way", ["class", "function"])
async def test_clean_up_that_would_end_more_than_itself_is_a_failure(error: type[BaseException], way: str) -> None:
    """Whatever it raises, all others are cleaned up, and it is said what failed."""
    log: Log = []
    registry = a_registry(binds(services={cleaned_up("close", log): Keeper, closing(error, way): Vms}))
    await registry.open()
    with pytest.raises(ExceptionGroup) as caught:
        await registry.close()
    if error is not GeneratorExit or way == "class":
        assert caught.group_contains(RuntimeError, match=error.__name__)
    assert ["close"] == log


@pytest.mark.parametrize("error", ENDS)
async def test_a_constructor_that_would_end_more_than_itself_is_a_failure(error: type[BaseException]) -> None:
    """It is reported as others are."""

    class Service(HttpVms):
        def __init__(self) -> None:
            raise error

    registry = a_registry(binds(services={Service: Vms}))
    with pytest.raises(ConfigError, match=f"Vms cannot be built: {error.__name__}: "):
        await registry.open()


async def test_a_clean_up_that_is_cancelled_by_us_is_cancelled() -> None:
    """Then it is no failure of the plugin."""

    class Service:
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    registry = a_registry(binds(services=[Service]))
    await registry.open()
    task = asyncio.create_task(registry.close())
    for _ in range(5):
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class NoDatabase(HttpVms):
    def __init__(self) -> None:
        raise OSError("no database")


class Leaving(Quota):
    def __init__(self) -> None:
        raise SystemExit(3)


class NeedsLicence(Check):
    def __init__(self) -> None:
        raise PermissionError("no licence")


class NeverBuilt(Work):
    def __init__(self) -> None:
        raise AssertionError("jobs are built for runs")


async def test_open_reports_every_service_and_listener_that_cannot_be_built() -> None:
    """All of them in one report, each with the place; whoever only needs one of those is not to blame."""
    log: Log = []
    registry = a_registry(
        binds(a_job_class(NeverBuilt), listeners=[a_listener(NeedsLicence), a_listener(ListensWithVms)]),
        binds(services={NoDatabase: Vms, Leaving: Quota, cleaned_up("close", log): Keeper}),
    )
    with pytest.raises(ConfigError) as caught:
        await registry.open()
    assert [
        "Vms cannot be built: OSError: no database",
        "Listener cannot be built: PermissionError: no licence",
        "Quota cannot be built: SystemExit: 3",
    ] == [sentence.partition(f" ({__file__}:")[0] for sentence in sentences(caught.value)]
    assert {} == registry.bound
    await registry.close()
    assert ["close"] == log


# --- what dishka costs


@pytest.mark.parametrize(("module", "imported"), [("plugins", False), ("execution.workers.fork_server", True)])
def test_dishka_is_imported_where_its_time_is_to_spare(module: str, *, imported: bool) -> None:
    """An author does not wait for it, and no worker does: it is a fork of a process that has it."""
    code = f"import sys, mainspring.{module}; print('dishka' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert f"{imported}\n" == ran.stdout
