import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from pydantic import BaseModel

from mainspring.clock import Clock, ManualClock, SystemClock
from mainspring.errors import ConfigError, NotFoundError, Problem
from mainspring.job import Backoff, JobKey, JobRequest, RetryPolicy
from mainspring.plugins import (
    Binder,
    JobExecutionContext,
    Registry,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    load,
)
from mainspring.plugins.author import job_group, product
from mainspring.plugins.registry import build
from mainspring.schedule import Trigger

if TYPE_CHECKING:
    from decimal import Decimal

BACKUPS = JobKey("vps4", "backups")
NOBODY = JobKey("vps4", "nobody")
SECOND = timedelta(seconds=1)
Configure = Callable[[Binder], object]
anything: Any = object
"""What an author without a type checker may bind or set."""


# --- what plugins are made of


class Work(SchedulerJob):
    async def execute(self, context: JobExecutionContext) -> None: ...


class Check(SchedulerTriggerListener):
    async def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> bool:  # noqa: ARG002
        return False


def a_job_class(base: Any = Work, key: JobKey = BACKUPS, name: str = "Job", **attributes: Any) -> type[SchedulerJob]:
    """Make the job class of a group."""
    return product(key.product)(job_group(key.job_group)(type(name, (base,), attributes)))


def a_listener(
    base: Any = Check, key: JobKey = BACKUPS, name: str = "Listener", **attributes: Any
) -> type[SchedulerTriggerListener]:
    """Make a trigger listener of a group."""
    return product(key.product)(job_group(key.job_group)(type(name, (base,), attributes)))


class Module(SchedulerPluginModule):
    def __init__(self, configure: Configure) -> None:
        self._configure = configure

    def configure(self, binder: Binder) -> None:
        self._configure(binder)


def binds(*jobs: Any, listeners: Iterable[Any] = (), services: Mapping[Any, Any] | Iterable[Any] = ()) -> Configure:
    """Bind job classes, listeners, and services: a mapping says what each provides."""

    def configure(binder: Binder) -> None:
        for job in jobs:
            binder.bind_job(job)
        for listener in listeners:
            binder.bind_trigger_listener(listener)
        for service in services:
            binder.bind_service(service, provides=services[service] if isinstance(services, Mapping) else None)

    return configure


def a_registry(*configures: Configure, clock: Clock | None = None) -> Registry:
    """Build the registry of some plugins: one, two, three."""
    names = ("one", "two", "three")
    return build([(name, Module(configure)) for name, configure in zip(names, configures, strict=False)], clock=clock)


def sentences(error: ConfigError) -> list[str]:
    """Take the report of all problems apart."""
    head, *lines = str(error).splitlines()
    assert head == "The plugins cannot be used:"
    return [line.removeprefix("  - ") for line in lines]


def problems_of(*configures: Configure) -> list[str]:
    """List what is wrong with plugins."""
    with pytest.raises(ConfigError) as caught:
        a_registry(*configures)
    return sentences(caught.value)


@asynccontextmanager
async def opened(*configures: Configure, clock: Clock | None = None) -> AsyncIterator[Registry]:
    """Open a registry, and close it in the end."""
    registry = a_registry(*configures, clock=clock)
    await registry.open()
    yield registry
    await registry.close()


class Vms(Protocol):
    """What jobs ask for."""


class HttpVms:
    """What they get."""


class Quota:
    """Another service."""


class NeedsVms(Work):
    def __init__(self, vms: Vms) -> None:
        self.vms = vms


class ListensWithVms(Check):
    def __init__(self, vms: Vms) -> None:
        self.vms = vms


# --- what is right


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


def test_a_key_is_a_pair() -> None:
    """("a-b", "c") and ("a", "b-c") are two groups, with a job class and a listener each."""
    one, other = JobKey("a-b", "c"), JobKey("a", "b-c")
    jobs = a_job_class(key=one, name="One"), a_job_class(key=other, name="Other")
    listeners = a_listener(key=one), a_listener(key=other)
    registry = a_registry(binds(*jobs, listeners=listeners))
    assert [(one, jobs[0], listeners[:1]), (other, jobs[1], listeners[1:])] == [
        (binding.key, binding.job_class, binding.listeners) for binding in registry.bindings.values()
    ]


@pytest.mark.parametrize("segment", ["a", "0", "A.b_c~d-e", "x" * 64])
def test_segments(segment: str) -> None:
    """What stands in a path as it is can name a product or a group."""
    key = JobKey(segment, segment)
    assert [key] == list(a_registry(binds(a_job_class(key=key))).bindings)


@pytest.mark.parametrize(
    "execute",
    [
        lambda _self, _context: None,
        lambda _self, *_anything: None,
        lambda _self, _context, _more=None: None,
    ],
    ids=["another name", "*args", "a default"],
)
def test_signatures(execute: Callable[..., Any]) -> None:
    """Whatever can be called with a context is a job's code."""
    assert [BACKUPS] == list(a_registry(binds(a_job_class(execute=execute))).bindings)


# --- every mistake has its sentence


class Unmarked(Work):
    """Has no marks."""


class Undefined(SchedulerJob):
    """Has no `execute`."""


class UndefinedListener(SchedulerTriggerListener):
    """Has no `veto_job_execution`."""


class Yielding(SchedulerJob):
    def execute(self, context: JobExecutionContext) -> Iterator[None]:  # type: ignore[override]  # noqa: ARG002
        yield


class AsyncYielding(SchedulerJob):
    async def execute(self, context: JobExecutionContext) -> AsyncIterator[None]:  # type: ignore[override]  # noqa: ARG002
        yield


class YieldingListener(SchedulerTriggerListener):
    def veto_job_execution(  # type: ignore[override]
        self,
        trigger: Trigger,  # noqa: ARG002
        context: JobExecutionContext,  # noqa: ARG002
    ) -> Iterator[bool]:
        yield False


class OtherModel(BaseModel):
    """Is no `JobRequest`."""


class Redefining(JobRequest):
    when: str  # type: ignore[assignment]
    options: int  # type: ignore[assignment]


class Inheriting(Redefining):
    vm_id: int


class Unannotated(Work):
    def __init__(self, vms, *, size=3):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN204
        self.vms, self.size = vms, size


class ForTheCheckerAlone(Work):
    def __init__(self, price: "Decimal") -> None:
        self.price = price


class Nonsense(Work):
    def __init__(self, vms: "Vms |") -> None:  # type: ignore[valid-type] # noqa: F722
        self.vms = vms


class OutOfNowhere(Work):
    def __init__(self, price: "timedelta.Decimal") -> None:  # type: ignore[name-defined]
        self.price = price


class NeedsQuotaToo:
    def __init__(self, vms: Vms, quota: Quota) -> None: ...


def unknown_service() -> "Decimal":
    """Promise what only a type checker knows."""
    raise NotImplementedError


def untold_service():  # type: ignore[no-untyped-def] # noqa: ANN201
    """Promise nothing."""


def no_service() -> None:
    """Promise to return nothing."""


def yields_untold() -> Iterator:  # type: ignore[type-arg]
    """Promise to yield, but not what."""
    yield


SEGMENT = "which is no path segment: up to 64 letters, digits and . _ ~ -"
SIGNATURE = "one: Job must define execute(self, context)"
REQUEST = "one: Job has a Request that is not a subclass of JobRequest"
TIMEOUT = "one: Job has a timeout that is not a positive timedelta"
ATTEMPTS = "one: Job has max_attempts that is not a number from 1"
BACKOFF = "one: Job has a backoff that is not a Backoff of two positive timedeltas and a factor from 1"
UNTOLD = "needs a return annotation, or provides=…"
REDEFINES = "one: Job has a Request that redefines options, when, which JobRequest itself reads"

MISTAKES: dict[str, tuple[Configure, list[str]]] = {
    # marks
    "no marks": (binds(Unmarked), ["one: Unmarked lacks @product(…)", "one: Unmarked lacks @job_group(…)"]),
    "marks that are no text": (
        binds(a_job_class(key=JobKey(anything, anything))),
        ["one: Job lacks @product(…)", "one: Job lacks @job_group(…)"],
    ),
    "marks that are no segments": (
        binds(a_job_class(key=JobKey("a/b", ""))),
        [f"one: Job has @product('a/b'), {SEGMENT}", f"one: Job has @job_group(''), {SEGMENT}"],
    ),
    # classes
    "another class": (binds(object), ["one: object is not a subclass of SchedulerJob"]),
    "no class": (binds("Job"), ["one: Job is not a subclass of SchedulerJob"]),
    "a listener as job": (binds(a_listener()), ["one: Listener is not a subclass of SchedulerJob"]),
    "a job as listener": (binds(listeners=[Work]), ["one: Work is not a subclass of SchedulerTriggerListener"]),
    "no execute": (binds(a_job_class(Undefined)), ["one: Job does not define execute"]),
    "no veto_job_execution": (
        binds(a_job_class(), listeners=[a_listener(UndefinedListener)]),
        ["one: Listener does not define veto_job_execution"],
    ),
    # signatures
    "execute takes nothing": (binds(a_job_class(execute=lambda _self: None)), [SIGNATURE]),
    "execute takes more": (binds(a_job_class(execute=lambda _self, _context, _more: None)), [SIGNATURE]),
    "execute takes keywords": (binds(a_job_class(execute=lambda _self, *, _context: None)), [SIGNATURE]),
    "execute is a number": (binds(a_job_class(execute=5)), [SIGNATURE]),
    "veto_job_execution takes less": (
        binds(a_job_class(), listeners=[a_listener(veto_job_execution=lambda _self, _context: False)]),
        ["one: Listener must define veto_job_execution(self, trigger, context)"],
    ),
    "execute yields": (
        binds(a_job_class(Yielding)),
        ["one: Job has a yield in execute, so calling it would run nothing"],
    ),
    "async execute yields": (
        binds(a_job_class(AsyncYielding)),
        ["one: Job has a yield in execute, so calling it would run nothing"],
    ),
    "veto_job_execution yields": (
        binds(a_job_class(), listeners=[a_listener(YieldingListener)]),
        ["one: Listener has a yield in veto_job_execution, so calling it would run nothing"],
    ),
    # requests
    "another model": (binds(a_job_class(Request=OtherModel)), [REQUEST]),
    "no model": (binds(a_job_class(Request=None)), [REQUEST]),
    "a request for a model": (binds(a_job_class(Request=JobRequest())), [REQUEST]),
    "Request redefines": (binds(a_job_class(Request=Redefining)), [REDEFINES]),
    "a base of Request redefines": (binds(a_job_class(Request=Inheriting)), [REDEFINES]),
    # rules
    "no timeout": (binds(a_job_class(timeout=timedelta())), [TIMEOUT]),
    "negative timeout": (binds(a_job_class(timeout=-SECOND)), [TIMEOUT]),
    "timeout in numbers": (binds(a_job_class(timeout=30)), [TIMEOUT]),
    "no attempts": (binds(a_job_class(max_attempts=0)), [ATTEMPTS]),
    "attempts in words": (binds(a_job_class(max_attempts="3")), [ATTEMPTS]),
    "backoff is a timedelta": (binds(a_job_class(backoff=SECOND)), [BACKOFF]),
    "backoff in numbers": (binds(a_job_class(backoff=Backoff(anything))), [BACKOFF]),
    "backoff of nothing": (binds(a_job_class(backoff=Backoff(timedelta()))), [BACKOFF]),
    "backoff that shrinks": (binds(a_job_class(backoff=Backoff(factor=0.5))), [BACKOFF]),
    "backoff by nobody knows what": (binds(a_job_class(backoff=Backoff(factor=float("nan")))), [BACKOFF]),
    "backoff by words": (binds(a_job_class(backoff=Backoff(factor=anything))), [BACKOFF]),
    "backoff of at most nothing": (binds(a_job_class(backoff=Backoff(longest=timedelta()))), [BACKOFF]),
    "all rules": (binds(a_job_class(timeout=0, max_attempts=0, backoff=0)), [TIMEOUT, ATTEMPTS, BACKOFF]),
    # groups
    "two job classes": (
        binds(a_job_class(), a_job_class(name="Other")),
        ["one: Other claims vps4/backups, which belongs to Job of one; a job group has one job class"],
    ),
    "a listener for nobody": (
        binds(a_job_class(), listeners=[a_listener(key=NOBODY)]),
        ["Listener listens to vps4/nobody, for which no job class is bound"],
    ),
    # services
    "a service twice": (binds(services={HttpVms: Vms, Quota: Vms}), ["one: Vms is provided twice"]),
    "another clock": (binds(services={ManualClock: Clock}), ["one: Clock is provided twice"]),
    "a service that cannot be called": (
        binds(services=["vms"]),
        ["one: service vms: is neither a class nor a function"],
    ),
    "an untold service": (binds(services=[untold_service]), [f"one: service untold_service: {UNTOLD}"]),
    "no service": (binds(services=[no_service]), [f"one: service no_service: {UNTOLD}"]),
    "a service that is yielded untold": (
        binds(services=[yields_untold]),
        [f"one: service yields_untold: {UNTOLD}"],
    ),
    "an unknown service": (
        binds(services=[unknown_service]),
        ["one: service unknown_service: name 'Decimal' is not defined"],
    ),
    # isolation
    **{
        f"isolation {value!r}": (
            binds(a_job_class(isolation=value)),
            ["one: Job has an isolation that is neither 'none' nor 'process'"],
        )
        for value in ("thread", None, ["process"])
    },
    **{
        f"memory_limit {value!r}": (
            binds(a_job_class(isolation="process", memory_limit=value)),
            ["one: Job has a memory_limit that is not a number of bytes"],
        )
        for value in ("1 GiB", 0, -1, 1.5, True)
    },
    "a memory_limit that would not hold": (
        binds(a_job_class(memory_limit=1 << 30)),
        ["one: Job has a memory_limit, which only holds with isolation = 'process'"],
    ),
    # injection
    "no annotation": (
        binds(a_job_class(Unannotated)),
        ["Job takes 'vms' without an annotation, so nothing can be injected"],
    ),
    "an unbound service": (
        binds(a_job_class(NeedsVms), listeners=[a_listener(ListensWithVms)], services=[NeedsQuotaToo, HttpVms]),
        [
            "NeedsQuotaToo needs Vms, which no plugin binds with bind_service",
            "NeedsQuotaToo needs Quota, which no plugin binds with bind_service",
            "Job needs Vms, which no plugin binds with bind_service",
            "Listener needs Vms, which no plugin binds with bind_service",
        ],
    ),
    "an annotation for the type checker alone": (
        binds(a_job_class(ForTheCheckerAlone)),
        ["Job has annotations that cannot be read: name 'Decimal' is not defined"],
    ),
    "an annotation that is none": (
        binds(a_job_class(Nonsense)),
        ["Job has annotations that cannot be read: Forward reference must be an expression -- got 'Vms |'"],
    ),
    "an annotation out of nowhere": (
        binds(a_job_class(OutOfNowhere)),
        ["Job has annotations that cannot be read: type object 'datetime.timedelta' has no attribute 'Decimal'"],
    ),
}


@pytest.mark.parametrize(("configure", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_has_its_sentence(configure: Configure, expected: list[str]) -> None:
    """What an author got wrong is said before anything starts: which plugin, which class, what to do."""
    assert expected == problems_of(configure)


@pytest.mark.parametrize(
    "segment", ["", "a/b", "a b", "\N{LATIN SMALL LETTER E WITH ACUTE}", ".a", "-a", "a\n", "a%20", "..", "x" * 65]
)
def test_segments_refused(segment: str) -> None:
    """What would not stand in a path as it is names nothing."""
    assert [f"one: Job has @job_group({segment!r}), {SEGMENT}"] == problems_of(
        binds(a_job_class(key=JobKey("vps4", segment)))
    )


def test_two_plugins_that_claim_one_group() -> None:
    """Both are named, whichever comes first."""
    assert ["two: Mine claims vps4/backups, which belongs to Job of one; a job group has one job class"] == problems_of(
        binds(a_job_class()), binds(a_job_class(name="Mine"))
    )


def test_two_plugins_that_provide_one_service() -> None:
    """A service is one for all plugins, so only one can provide it."""
    assert ["two: Vms is provided twice"] == problems_of(binds(services={HttpVms: Vms}), binds(services={HttpVms: Vms}))


@pytest.mark.parametrize("error", [RuntimeError("no settings"), SystemExit("no settings")])
def test_configure_that_raises(error: BaseException) -> None:
    """A plugin that cannot even bind is one of the problems, with the place in its code; the others are checked too."""

    def configure(binder: Binder) -> None:
        binder.bind_job(Unmarked)
        raise error

    (first, *others) = problems_of(configure, binds(object))
    assert first.startswith(f"one: configure failed: {type(error).__name__}: no settings ({__file__}:")
    assert [
        "one: Unmarked lacks @product(…)",
        "one: Unmarked lacks @job_group(…)",
        "two: object is not a subclass of SchedulerJob",
    ] == others


def test_configure_that_finds_a_setting_wrong() -> None:
    """A `ConfigError` of a plugin is said as it is."""

    def configure(_binder: Binder) -> None:
        raise ConfigError("VPS4_API_URL is no URL")

    assert ["one: VPS4_API_URL is no URL"] == problems_of(configure)


class A:
    def __init__(self, b: "B") -> None: ...


class B:
    def __init__(self, a: A) -> None: ...


def test_services_that_need_each_other() -> None:
    """A circle is found before anything is built, and all in it are named, none of the machinery is."""
    with pytest.raises(ConfigError) as caught:
        a_registry(binds(services=[A, B]))
    assert all(f"test_registry.{name}" in str(caught.value) for name in "AB")
    assert "<locals>" not in str(caught.value)


def test_all_problems_of_all_plugins_at_once() -> None:
    """Nobody has to start the service three times to hear of three mistakes."""
    assert [
        "one: Job does not define execute",
        TIMEOUT,
        "two: object is not a subclass of SchedulerJob",
        "two: service vms: is neither a class nor a function",
        "Job needs Vms, which no plugin binds with bind_service",
        "Listener listens to vps4/nobody, for which no job class is bound",
    ] == problems_of(
        binds(a_job_class(Undefined, timeout=0)),
        binds(object, services=["vms"]),
        binds(a_job_class(NeedsVms), listeners=[a_listener(key=NOBODY)]),
    )


# --- finding modules

GOOD = """
from mainspring import Binder, SchedulerJob, SchedulerPluginModule, job_group, product

@product("found")
@job_group("{name}")
class Job(SchedulerJob):
    async def execute(self, context): ...

class Plugin(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        binder.bind_job(Job)

class NeedsMore(Plugin):
    def __init__(self, more): ...

class Leaving(Plugin):
    def __init__(self): raise SystemExit(3)

class Undefined(SchedulerPluginModule): ...

class Other: ...

instance = Plugin()
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Write a Python module where it can be imported. No plugin is installed."""
    monkeypatch.syspath_prepend(tmp_path)
    installed(monkeypatch)
    written = set()

    def write(name: str, text: str) -> None:
        written.add(name)
        (tmp_path / f"{name}.py").write_text(text)

    yield write
    for name in written & sys.modules.keys():
        del sys.modules[name]


def installed(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """Let these entry points be all that are installed."""

    def entry_points(*, group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in points.items() if group == "mainspring.plugins"]

    monkeypatch.setattr("mainspring.plugins.registry.entry_points", entry_points)


Write = Callable[[str, str], None]


def test_load(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plugins are found by entry point and by name; one that is found both ways, or named twice, is loaded once."""
    for name in ("found_1", "found_2"):
        write(name, GOOD.format(name=name))
    installed(monkeypatch, first="found_1:Plugin")
    bindings = load(["found_2:Plugin", "found_1:Plugin", "found_2:Plugin"]).bindings
    assert {
        JobKey("found", "found_1"): "entry point first",
        JobKey("found", "found_2"): "plugin found_2:Plugin",
    } == {key: binding.plugin for key, binding in bindings.items()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("broken_good", "is not of the form package.module:ClassName"),
        ("broken_good:", "is not of the form package.module:ClassName"),
        (":Plugin", "is not of the form package.module:ClassName"),
        ("", "is not of the form package.module:ClassName"),
        ("no_such_module:Plugin", "cannot be imported: there is no module 'no_such_module'"),
        ("broken_good.inner:Plugin", "cannot be imported: there is no module 'broken_good.inner'"),
        ("broken_dependency:Plugin", "cannot be imported: there is no module 'no_such_dependency'"),
        ("broken_good:Plugni", "the module broken_good has no Plugni"),
        ("broken_good:Other", "Other is not a subclass of SchedulerPluginModule"),
        ("broken_good:instance", "instance is not a subclass of SchedulerPluginModule"),
        ("broken_raising:Plugin", "cannot be imported: ValueError: no settings ({path}/broken_raising.py:1)"),
        ("broken_leaving:Plugin", "cannot be imported: SystemExit: 3 ({path}/broken_leaving.py:1)"),
        (
            "broken_attribute:Plugin",
            "cannot be imported: AttributeError: 'int' object has no attribute 'x' ({path}/broken_attribute.py:1)",
        ),
        ("broken_good:Leaving", "Leaving() failed: SystemExit: 3 ({path}/broken_good.py:17)"),
        ("broken_good:NeedsMore", "NeedsMore() failed: TypeError: NeedsMore.__init__() missing 1 required "),
        ("broken_good:Undefined", "Undefined() failed: TypeError: Can't instantiate abstract class Undefined"),
        ("broken_syntax:Plugin", "cannot be imported: SyntaxError: '(' was never closed (broken_syntax.py, line 1)"),
    ],
)
def test_load_of_what_cannot_be_used(write: Write, tmp_path: Path, name: str, expected: str) -> None:
    """Whatever is wrong with a plugin's module, the sentence names the plugin, the reason, and the place."""
    write("broken_good", GOOD.format(name="good"))
    write("broken_dependency", "import no_such_dependency")
    write("broken_raising", "raise ValueError('no settings')")
    write("broken_leaving", "raise SystemExit(3)")
    write("broken_attribute", "(1).x")
    write("broken_syntax", "(")
    with pytest.raises(ConfigError) as caught:
        load([name])
    (sentence,) = sentences(caught.value)
    assert sentence.startswith(f"plugin {name}: {expected.format(path=tmp_path)}")


def test_load_reports_all_at_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that cannot be found, and mistakes in those that can, are one report."""
    write("faulty", GOOD.format(name="a b"))
    installed(monkeypatch, gone="no_such_module:Plugin")
    with pytest.raises(ConfigError) as caught:
        load(["faulty:Plugni", "faulty:Plugin"])
    assert [
        "entry point gone: cannot be imported: there is no module 'no_such_module'",
        "plugin faulty:Plugni: the module faulty has no Plugni",
        f"plugin faulty:Plugin: Job has @job_group('a b'), {SEGMENT}",
    ] == sentences(caught.value)


# --- services


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


class Keeper:
    """Keeps what it was given."""

    def __init__(self, vms: Vms, quota: Quota = anything, size: int = 3) -> None:
        self.given = (vms, quota, size)


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


class NeedsClock(Work):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock


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
    bound = await alone.open()
    assert [JobKey("vps4", "a")] == list(bound)
    await alone.close()
    await registry.close()
