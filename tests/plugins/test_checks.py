from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from mainspring.clock import Clock, ManualClock
from mainspring.errors import ConfigError, InvalidRequestError
from mainspring.job import Backoff, JobKey, JobRequest, Limit, Rate
from mainspring.job import Quota as QuotaOfJobs
from mainspring.plugins import Binder, JobExecutionContext, Scheduler, SchedulerJob, SchedulerTriggerListener
from mainspring.schedule import Trigger
from tests.plugins.conftest import (
    BACKUPS,
    NOBODY,
    SECOND,
    SEGMENT,
    Configure,
    HttpVms,
    ListensWithVms,
    NeedsVms,
    Quota,
    Vms,
    Work,
    a_job_class,
    a_listener,
    a_registry,
    anything,
    binds,
    problems_of,
)

if TYPE_CHECKING:
    from decimal import Decimal

# --- what is right


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


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (None, None),
        ("all", "all"),
        ("dc:{data_center}", "dc:ams"),
        ("{data_center}/{rack}", None),
        (classmethod(lambda _cls, request: request.data_center.upper()), "AMS"),
        (staticmethod(lambda _request: None), None),
    ],
    ids=["none", "one for all", "a field", "a field that is null", "a class method", "a static method"],
)
def test_concurrency_keys(by: Any, expected: str | None) -> None:
    """A text with fields of the request, of which none is null, or whatever a method returns."""
    binding = a_registry(binds(a_job_class(Request=Placed, concurrency_key=by))).bindings[BACKUPS]
    assert expected == binding.concurrency_key(Placed(data_center="ams"))


@pytest.mark.parametrize(
    "by",
    ["{data_center}", classmethod(lambda *_: 5), classmethod(lambda *_: 1 / 0)],
    ids=["two lines", "a number", "a bug"],
)
def test_concurrency_keys_that_are_none(by: Any) -> None:
    """They are a bug of the plugin, and refused."""
    binding = a_registry(binds(a_job_class(Request=Placed, concurrency_key=by))).bindings[BACKUPS]
    with pytest.raises(InvalidRequestError) as refused:
        binding.concurrency_key(Placed(data_center="a\nb"))
    assert ["PLUGIN_VALIDATION_ERROR"] == [problem.code for problem in refused.value.problems]


# --- every mistake has its sentence


class Placed(JobRequest):
    data_center: str
    rack: str | None = None


async def waits(_cls: type, _request: JobRequest) -> str:
    """Cannot be asked for a key: nobody waits for it."""
    return "a"


class Unmarked(Work):
    """Has no marks."""


class Undefined(SchedulerJob):
    """Has no `execute`."""


class UndefinedListener(SchedulerTriggerListener):
    """Has no `veto_job_execution`."""


class Yielding(SchedulerJob):
    def execute(self, context: JobExecutionContext) -> Iterator[None]:  # noqa: ARG002
        yield


class AsyncYielding(SchedulerJob):
    async def execute(self, context: JobExecutionContext) -> AsyncIterator[None]:  # noqa: ARG002
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


class NeedsScheduler:
    """A service, which belongs to no product."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler


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


SIGNATURE = "one: Job must define execute(self, context)"
REQUEST = "one: Job has a Request that is not a subclass of JobRequest"
TIMEOUT = "one: Job has a timeout that is not a positive timedelta"
PRIORITY = "one: Job has a priority that is not a whole number from 0 to 9"
LIMITS = "one: Job has limits that are not right:"
OUT_OF_RANGE = (
    f"{LIMITS} limit of Limit(limit=0, by=None) must be greater than or equal to 1; "
    "per of Rate(limit=5, per=datetime.timedelta(days=32), by=None) must be less than or equal to P31D; "
    "by of Limit(limit=2, by=<class 'object'>) must be 'key'"
)
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
    "priority above the first": (binds(a_job_class(priority=10)), [PRIORITY]),
    "priority below the last": (binds(a_job_class(priority=-1)), [PRIORITY]),
    "priority in words": (binds(a_job_class(priority="9")), [PRIORITY]),
    "priority that is a flag": (binds(a_job_class(priority=True)), [PRIORITY]),
    "no attempts": (binds(a_job_class(max_attempts=0)), [ATTEMPTS]),
    "attempts in words": (binds(a_job_class(max_attempts="3")), [ATTEMPTS]),
    "backoff is a timedelta": (binds(a_job_class(backoff=SECOND)), [BACKOFF]),
    "backoff in numbers": (binds(a_job_class(backoff=Backoff(anything))), [BACKOFF]),
    "backoff of nothing": (binds(a_job_class(backoff=Backoff(timedelta()))), [BACKOFF]),
    "backoff that shrinks": (binds(a_job_class(backoff=Backoff(factor=0.5))), [BACKOFF]),
    "backoff by nobody knows what": (binds(a_job_class(backoff=Backoff(factor=float("nan")))), [BACKOFF]),
    "backoff by words": (binds(a_job_class(backoff=Backoff(factor=anything))), [BACKOFF]),
    "backoff of at most nothing": (binds(a_job_class(backoff=Backoff(longest=timedelta()))), [BACKOFF]),
    "no limits": (binds(a_job_class(limits=None)), [f"{LIMITS} they must be a tuple of Limit, Rate and Quota"]),
    "one limit": (binds(a_job_class(limits=Limit(5))), [f"{LIMITS} they must be a tuple of Limit, Rate and Quota"]),
    "limits in numbers": (binds(a_job_class(limits=(5,))), [f"{LIMITS} they must be a tuple of Limit, Rate and Quota"]),
    "limits that are out of range": (
        binds(a_job_class(limits=(Limit(0), Rate(5, per=timedelta(days=32)), Limit(2, by=anything)))),
        [OUT_OF_RANGE],
    ),
    "a rate in seconds": (
        binds(a_job_class(limits=(Rate(5, per=anything),))),
        [f"{LIMITS} per of Rate(limit=5, per=<class 'object'>, by=None) must be a timedelta"],
    ),
    "a quota that is out of range": (
        binds(a_job_class(limits=(QuotaOfJobs(pending=0, bytes=anything),))),
        [
            (
                f"{LIMITS} pending of Quota(pending=0, creates_per_minute=None, bytes=<class 'object'>) "
                "must be greater than or equal to 1; "
                "bytes of Quota(pending=0, creates_per_minute=None, bytes=<class 'object'>) must be a whole number"
            )
        ],
    ),
    "two quotas": (
        binds(a_job_class(limits=(QuotaOfJobs(pending=5), QuotaOfJobs(bytes=5)))),
        [f"{LIMITS} there is more than one Quota"],
    ),
    "too many limits": (binds(a_job_class(limits=(Limit(1),) * 21)), [f"{LIMITS} there are more than 20 of a kind"]),
    **{
        f"concurrency_key {value!r}": (
            binds(a_job_class(concurrency_key=value)),
            ["one: Job has a concurrency_key that is no text with names of fields in braces, and no class method"],
        )
        for value in ("{a.b}", "{a!r}", "{}", "{a", 5)
    },
    **{
        f"concurrency_key of {name}": (
            binds(a_job_class(concurrency_key=value)),
            ["one: Job must define concurrency_key(cls, request) as a class method, and without async"],
        )
        for name, value in {
            "a method": lambda _self, _request: "a",
            "a class method without a request": classmethod(lambda _cls: "a"),
            "a coroutine": classmethod(waits),
        }.items()
    },
    "concurrency_key of unknown fields": (
        binds(a_job_class(concurrency_key="{there}:{here}")),
        ["one: Job has a concurrency_key with here, there, which its Request does not have"],
    ),
    "an empty concurrency_key": (
        binds(a_job_class(concurrency_key="")),
        ["one: Job has a concurrency_key that is empty; None is none"],
    ),
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
    "a service that asks for the scheduler": (
        binds(a_job_class(), services=[NeedsScheduler]),
        [
            (
                "NeedsScheduler needs Scheduler, which has the bounds of a product: "
                "only jobs and trigger listeners may ask for it"
            ),
        ],
    ),
    "a scheduler that is bound": (
        binds(a_job_class(), services={HttpVms: Scheduler}),
        ["one: Scheduler cannot be bound: each job gets that of its own product"],
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


@pytest.mark.parametrize("name", ["jobs", "events", "nodes", "calendars"])
def test_a_product_has_no_name_of_a_call(name: str) -> None:
    """A path would mean two things."""
    with pytest.raises(ConfigError, match="name of a call of the API"):
        a_registry(lambda binder: binder.bind_job(a_job_class(key=JobKey(name, "backups"))))
