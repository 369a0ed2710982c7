from concurrent.futures import Future
from typing import Any

import pytest

from mainspring.clock import Clock
from mainspring.errors import MainspringError, NotFoundError, Problem
from mainspring.job import Backoff, JobKey, JobRequest, RetryPolicy
from mainspring.plugins import Call, NoCalls, Registry, Scheduler
from tests.plugins.conftest import (
    BACKUPS,
    NOBODY,
    SECOND,
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
    binds,
    opened,
)

# --- groups


def test_build() -> None:
    """A group has its job class with its request and rules, its listeners in order, and the name of its plugin."""

    class Request(JobRequest):
        vm_id: int

    backoff = Backoff(2 * SECOND)
    job_class = a_job_class(Request=Request, max_attempts=7, backoff=backoff)
    listeners = a_listener(name="First"), a_listener(name="Second")
    registry = a_registry(binds(job_class, listeners=listeners), binds(a_job_class(key=NOBODY)))
    binding = registry.find(BACKUPS)
    assert [BACKUPS, NOBODY] == list(registry.bindings)
    assert (BACKUPS, job_class, listeners, "one") == (
        binding.key,
        binding.job_class,
        binding.listeners,
        binding.plugin,
    )
    assert (Request, RetryPolicy(7, backoff)) == (binding.request_model, binding.policy)
    assert (JobRequest, RetryPolicy()) == (registry.find(NOBODY).request_model, registry.find(NOBODY).policy)


def test_no_plugins() -> None:
    """Without plugins there are no groups, and nothing is wrong."""
    assert {} == a_registry().bindings


def test_bindings_are_frozen() -> None:
    """Nobody adds a group to a registry that was checked."""
    bindings: Any = a_registry().bindings
    with pytest.raises(TypeError):
        bindings[BACKUPS] = None


@pytest.mark.parametrize("key", [NOBODY, JobKey("vps4-", "backups"), JobKey("", ""), JobKey("x" * 999, "y" * 999)])
def test_find_of_an_unknown_group(key: JobKey) -> None:
    """An unknown group is named, as far as that is short, under a code of its own."""
    with pytest.raises(NotFoundError) as caught:
        a_registry(binds(a_job_class())).find(key)
    assert (Problem("", "UNKNOWN_JOB_GROUP", str(caught.value)),) == caught.value.problems
    assert repr(key.job_group[:64]) in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("key", "near"),
    [
        (JobKey("vps4", "backup"), True),
        (JobKey("vps", "backups"), True),
        (JobKey("VPS4", "backups"), True),
        (NOBODY, False),
    ],
)
def test_find_of_a_group_that_was_misspelt(key: JobKey, *, near: bool) -> None:
    """The one that was probably meant is named."""
    with pytest.raises(NotFoundError) as caught:
        a_registry(binds(a_job_class())).find(key)
    assert near == ("; did you mean vps4/backups?" in str(caught.value))


def test_a_key_is_a_pair() -> None:
    """("a-b", "c") and ("a", "b-c") are two groups, with a job class and a listener each."""
    one, other = JobKey("a-b", "c"), JobKey("a", "b-c")
    jobs = a_job_class(key=one, name="One"), a_job_class(key=other, name="Other")
    listeners = a_listener(key=one), a_listener(key=other)
    registry = a_registry(binds(*jobs, listeners=listeners))
    assert [(one, jobs[0], listeners[:1]), (other, jobs[1], listeners[1:])] == [
        (binding.key, binding.job_class, binding.listeners) for binding in registry.bindings.values()
    ]


async def test_each_job_is_new_and_each_listener_is_one() -> None:
    """A job lives for one run, a listener as long as the registry, also when it is bound twice."""
    built: list[object] = []

    class Noting(Check):
        def __init__(self) -> None:
            built.append(self)

    listener = a_listener(Noting)
    async with opened(binds(a_job_class(), listeners=[listener, listener])) as registry:
        group = registry.bound[BACKUPS]
        assert group.make_job() is not group.make_job()
        assert built * 2 == [asked for asked, _ in group.listeners]
        assert 1 == len(built)


# --- scopes


class NeedsQuota(Work):
    def __init__(self, quota: Quota) -> None: ...


class ListensWithQuota(Check):
    def __init__(self, quota: Quota) -> None: ...


class NeedsKeeperAndClock(Work):
    def __init__(self, keeper: Keeper, clock: Clock) -> None: ...


def http_vms() -> Vms:
    """Make what is asked for as `Vms`."""
    return HttpVms()


def keeper_of_vms(vms: Vms) -> Keeper:
    """Make a service that needs another."""
    return Keeper(vms)


def scopes(registry: Registry) -> list[tuple[set[str], set[Any]]]:
    """Return which groups and services belong together, the clock left out."""
    return [
        ({binding.key.job_group for binding in scope.bindings}, {*scope.services} - {Clock})
        for scope in registry.scopes
    ]


def in_groups(**classes: Any) -> Configure:
    """Bind job classes, each to a group of its own."""
    return binds(*(a_job_class(base, key=JobKey("vps4", name)) for name, base in classes.items()))


def test_groups_that_share_no_service_are_strangers() -> None:
    """Each is a scope of its own, with what it needs; the clock is everybody's."""
    registry = a_registry(
        in_groups(a=NeedsVms, b=NeedsQuota, c=NeedsClock, d=NeedsClock), binds(services=[Quota, http_vms])
    )
    assert [({"b"}, {Quota}), ({"a"}, {Vms}), ({"c"}, set()), ({"d"}, set())] == scopes(registry)


def test_groups_that_share_a_service_are_a_scope() -> None:
    """However they come to it: directly, by another service, or by a listener."""
    registry = a_registry(
        in_groups(a=NeedsVms, b=NeedsKeeperAndClock, c=Work, d=NeedsQuota),
        binds(
            listeners=[a_listener(ListensWithVms, key=JobKey("vps4", "c"))], services=[http_vms, keeper_of_vms, Quota]
        ),
    )
    assert [({"a", "b", "c"}, {Vms, Keeper}), ({"d"}, {Quota})] == scopes(registry)


def test_a_group_may_join_scopes() -> None:
    """Strangers become one family by a third group that needs something of both."""
    registry = a_registry(
        in_groups(a=NeedsVms, b=NeedsQuota, c=NeedsVms),
        binds(listeners=[a_listener(ListensWithQuota, key=JobKey("vps4", "c"))], services=[http_vms, Quota]),
    )
    assert [({"a", "b", "c"}, {Vms, Quota})] == scopes(registry)


class Asks(Work):
    def __init__(self, scheduler: Scheduler, vms: Vms | None = None) -> None:
        self.scheduler = scheduler
        self.vms = vms


class AsksToo(Check):
    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler


def test_groups_that_ask_for_the_scheduler_are_strangers() -> None:
    """Each has its own, so they share nothing."""
    assert [({"a"}, set()), ({"b"}, set())] == scopes(a_registry(in_groups(a=Asks, b=Asks)))


@pytest.mark.parametrize(
    ("jobs", "listeners", "asks"),
    [([Work], [], False), ([Work, Asks], [], True), ([Work], [AsksToo], True), ([NeedsVms], [Check], False)],
)
def test_it_is_known_whether_somebody_asks_for_the_scheduler(jobs: list[Any], listeners: list[Any], asks: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """Who does not need one need not have what answers its calls."""
    classes = [a_job_class(job, key=JobKey("vps4", str(number))) for number, job in enumerate(jobs)]
    heard = [a_listener(listener, key=JobKey("vps4", "0")) for listener in listeners]
    registry = a_registry(binds(*classes, listeners=heard, services={HttpVms: Vms}))
    assert asks is registry.asks_for_scheduler


async def test_each_product_has_its_own_scheduler() -> None:
    """Jobs and listeners get that of theirs; who does not ask gets none."""
    asked: list[str] = []

    class Noted(NoCalls):
        def begin(self, product: str, call: Call) -> Future[str]:
            asked.append(product)
            return super().begin(product, call)

    other = JobKey("other", "backups")
    registry = a_registry(
        binds(
            a_job_class(Asks),
            a_job_class(Asks, key=other),
            listeners=[a_listener(AsksToo), a_listener(AsksToo, key=other)],
        )
    )
    await registry.open(Noted())
    for bound in registry.bound.values():
        job: Any = bound.make_job()
        listener: Any = bound.listeners[0][0]
        for scheduler in (job.scheduler, listener.scheduler):
            with pytest.raises(MainspringError, match="no scheduler here"):
                await scheduler.get("backups", "1")
    await registry.close()
    assert ["vps4", "vps4", "other", "other"] == asked


def test_services_that_nobody_needs_are_a_scope_too() -> None:
    """They are built as well: what they do, they may do for themselves."""
    assert [(set(), {Quota}), ({"a"}, set())] == scopes(a_registry(in_groups(a=Work), binds(services=[Quota])))


async def test_a_group_alone_has_its_own_services_and_no_others() -> None:
    """What a worker process opens is what its group needs, built anew."""
    registry = a_registry(
        in_groups(a=NeedsKeeperAndClock, b=NeedsVms, c=NeedsQuota), binds(services=[http_vms, keeper_of_vms, Quota])
    )
    await registry.open()
    alone = registry.alone(JobKey("vps4", "a"))
    assert {Vms, Keeper, Clock} == {*alone.services}
    bound = await alone.open(NoCalls())
    assert [JobKey("vps4", "a")] == list(bound)
    await alone.close()
    await registry.close()
