"""The service that a command talks to: where it is, what goes wrong with it in words, and which jobs ids mean."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from itertools import chain, islice
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self, TypeVar

import typer

from mainspring.cli.candidates import contexts
from mainspring.cli.contexts import DEFAULT_URL, Place, place_of
from mainspring.cli.exits import REFUSED, UNAVAILABLE
from mainspring.cli.output import complain
from mainspring.cli.scope import EVERYTHING, SHORTEST_ID, WHOLE_ID, Scope, check_ids
from mainspring.errors import MainspringError

if TYPE_CHECKING:
    from mainspring.client import Client, JobRef, ProblemError
    from mainspring.client import MainspringError as CallError

T = TypeVar("T")
MOST_NAMED = 5
"""How many jobs are named that somebody may have meant."""
AWAY = frozenset({502, 503, 504})
"""Statuses of a service or store that does not answer, which a proxy may say too."""


class UnclearIdError(MainspringError):
    """What was typed as an id begins that of no job, or those of several."""


@dataclass
class Service:
    """The service that flags, the environment or a context name.

    As a context manager it tells what goes wrong with a call, and ends the command with its exit code.
    """

    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            envvar="MAINSPRING_URL",
            show_envvar=False,
            help=f"Address of the service. [env MAINSPRING_URL; default: that of the context, else {DEFAULT_URL}]",
        ),
    ] = None
    context: Annotated[
        str | None,
        typer.Option(
            "--context",
            metavar="NAME",
            help="Context that names the service. [default: the one in use; env MAINSPRING_CONTEXT]",
            autocompletion=contexts,
        ),
    ] = None
    code: int = field(default=0, init=False)

    @cached_property
    def place(self) -> Place:
        """Where the service is. Raises `ConfigError` and `typer.BadParameter`."""
        return place_of(self.url, self.context)

    @cached_property
    def client(self) -> Client:
        """What carries out its calls."""
        return open_client(self.place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "client" in vars(self):
            self.client.close()
        if isinstance(error, UnicodeEncodeError):
            raise typer.BadParameter(f"{error.object!r} is not text in UTF-8") from error
        if (failed := _of_call(error)) is not None:
            raise typer.Exit(self.tell(failed)) from error
        if error is None and self.code:
            raise typer.Exit(self.code)

    # --- what goes wrong

    def tell(self, error: CallError, about: str = "") -> int:
        """Say on stderr what is wrong with a call, about one of several jobs, and return the exit code for it."""
        from mainspring.client import AddressError, NoAnswerError, NotMainspringError, ProblemError

        name = f"{about}: " if about else ""
        match error:
            case AddressError():
                raise typer.BadParameter(
                    f"{self.place.shown!r} is not an address such as {DEFAULT_URL}", param_hint=self.place.origin
                )
            case NoAnswerError():
                complain(f"Mainspring does not answer at {self.place.shown}: {error.reason}. Is the service running?")
                return UNAVAILABLE
            case NotMainspringError():
                complain(f"{name}{self.place.shown} answered {error}.")
                return _code_of(error.status)
            case ProblemError():
                _tell_problems(name, error)
                return _code_of(error.status)
            case _:
                complain(f"{name}{error}")
                return REFUSED

    def fail(self, code: int) -> None:
        """End the command with this code, when it has done all that it can; of several codes the highest counts."""
        self.code = max(self.code, code)

    # --- which jobs

    def each(self, scope: Scope, ids: Sequence[str], do: Callable[[JobRef], T]) -> Iterator[T]:
        """Do something to each of some jobs, and return what comes of it.

        What goes wrong with one job is told, and the others go on. A service that does not answer ends it.
        """
        from mainspring.client import MainspringError as CallError
        from mainspring.client import NoAnswerError, ProblemError

        for text in check_ids([*ids]):
            about = text if len(ids) > 1 else ""
            try:
                yield do(self.job(scope, text))
            except NoAnswerError:
                raise
            except UnclearIdError as error:
                complain(str(error))
                self.fail(REFUSED)
            except CallError as error:
                self.fail(self.tell(error, about))
                if isinstance(error, ProblemError) and error.code == "JOB_NOT_FOUND":
                    self._tell_meant(text)
            if self.code and len(ids) == 1:
                raise typer.Exit(self.code)  # there is nothing to show

    def job(self, scope: Scope, text: str) -> JobRef:
        """Return the job whose id is, or begins with, a text. Raises `UnclearIdError`."""
        from mainspring.client import JobRef

        (text,) = check_ids([text])
        if len(text) == WHOLE_ID and scope.product is not None and scope.job_group is not None:
            return JobRef(scope.product, scope.job_group, text)
        found = [*islice(self._beginning(scope, text), MOST_NAMED + 1)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise UnclearIdError(f"no job of {scope} has an id that begins with {text}{self._meant(text)}")
        named = _named(found[:MOST_NAMED]) + (", and more" if len(found) > MOST_NAMED else "")
        raise UnclearIdError(f"the ids of several jobs begin with {text}: {named}. Write more of it")

    def _beginning(self, scope: Scope, text: str) -> Iterator[JobRef]:
        """Find the jobs whose ids begin with a text, done ones last. The service looks at keys and tags too."""
        known = ("id", "product", "jobGroup")
        seen: set[str] = set()
        for found in chain(
            self.client.jobs(*scope, q=text, fields=known), self.client.jobs(*scope, q=text, fields=known, state="done")
        ):
            if found.id.startswith(text) and found.id not in seen:
                seen.add(found.id)
                yield found.ref

    def _tell_meant(self, text: str) -> None:
        if meant := self._meant(text):
            complain(meant.lstrip(";").strip().capitalize())

    def _meant(self, text: str) -> str:
        """Ask which job somebody may have meant: one of that id elsewhere, or one whose id is like it."""
        from mainspring.client import MainspringError as CallError

        with suppress(CallError):
            like = {ref.id: ref for ref in islice(self._beginning(EVERYTHING, text[:SHORTEST_ID]), _MOST_COMPARED)}
            if near := [like[name] for name in get_close_matches(text, like, cutoff=_NEAR)]:
                return f"; did you mean {_named(near)}?"
        return ""


_MOST_COMPARED = 200
_NEAR = 0.3
"""How like an id must be; what is typed may be its beginning, which is a small part of it."""


def open_client(place: Place) -> Client:
    """Return a client of a service, which asks once: who waits at a terminal tries again. Tests put their own here."""
    from mainspring.client import Client, Retries

    return Client(place.url, token=place.token, retries=Retries(attempts=1))


def _of_call(error: BaseException | None) -> CallError | None:
    """Return an error if it is one of the client, which costs the time of an HTTP library to load."""
    if "mainspring.client" not in sys.modules:
        return None
    from mainspring.client import MainspringError as CallError

    return error if isinstance(error, CallError) else None


def _named(refs: Sequence[JobRef]) -> str:
    return ", ".join(f"{ref.product}/{ref.job_group} {ref.id}" for ref in refs)


def _tell_problems(name: str, error: ProblemError) -> None:
    title, detail = error.raw.get("title"), error.raw.get("detail")
    if len(error.errors) > 1:
        complain(f"{name}{title} ({error.id}):")
        for each in error.errors:
            complain(f"  {each.pointer}{each.pointer and ' '}{each.detail} ({each.code})")
    else:
        complain(f"{name}{detail or title} ({error.code})")
    if error.retryable:
        complain("The same call may succeed later.")


def _code_of(status: int) -> int:
    """Tell a service that is away from one that refuses."""
    return UNAVAILABLE if status in AWAY else REFUSED
