"""Asks a running service over HTTP. If it refuses or does not answer, the command says why and ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from mainspring.cli.exits import REFUSED, UNAVAILABLE
from mainspring.cli.flags import DEFAULT_URL
from mainspring.cli.output import complain

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered to a call that it did not refuse."""

    response: httpx2.Response

    @property
    def has_more(self) -> bool:
        """Whether this is a page, and there is another."""
        return "next" in self.response.links

    @property
    def text(self) -> str:
        """The answer as it came."""
        return self.response.text

    def objects(self) -> list[dict[str, Any]]:
        """Return the JSON object, or the array of objects, that was answered."""
        return _objects(self.response)


def ask(url: str, method: str, path: str, *, params: Any = None, body: Any = None) -> Answer:
    """Ask the service. If it refuses or does not answer, say so on stderr and exit."""
    import httpx2

    content = None if body is None else json.dumps(body)  # ASCII, so that whatever a shell passes can be sent
    try:
        with open_client(url) as client:
            headers = {"Content-Type": "application/json"} if content else {}
            response = client.request(method, path, params=params, content=content, headers=headers)
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise typer.BadParameter(
            f"{_masked(url)!r} is not an address such as {DEFAULT_URL}", param_hint="--url"
        ) from error
    except httpx2.RequestError as error:
        reason = str(error).rstrip(".") or type(error).__name__
        complain(f"Mainspring does not answer at {_masked(url)}: {reason}. Is the service running?")
        raise typer.Exit(UNAVAILABLE) from error
    if not response.is_success:
        _refuse(response)
    return Answer(response)


def open_client(url: str) -> httpx2.Client:
    """Return a client of the service at `url`. Tests put their own in its place."""
    import httpx2

    return httpx2.Client(base_url=url, timeout=30)


def _refuse(response: httpx2.Response) -> NoReturn:
    """Print the problem that the service describes, and exit."""
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    if kind != "application/problem+json":
        _not_mainspring(response)
    for problem in _objects(response):
        errors = problem.get("errors") or [{}]
        if len(errors) > 1:
            complain(f"{problem.get('title')} ({problem.get('id')}):")
            for error in errors:
                complain(
                    f"  {error.get('pointer', '')} {error.get('detail')} ({error.get('code')})".replace("   ", "  ")
                )
        else:
            code = errors[0].get("code") or problem.get("id") or response.status_code
            complain(f"{problem.get('detail') or problem.get('title')} ({code})")
        if problem.get("retryable"):
            complain("The same call may succeed later.")
    raise typer.Exit(_exit_code(response))


def _not_mainspring(response: httpx2.Response) -> NoReturn:
    url = _masked(str(response.url))
    complain(f"{url} answered {response.status_code} {response.reason_phrase}, but not as Mainspring does.")
    raise typer.Exit(_exit_code(response))


def _exit_code(response: httpx2.Response) -> int:
    """Tell a service or store that does not answer, which a proxy may say too, from one that refuses."""
    return UNAVAILABLE if response.status_code in {502, 503, 504} else REFUSED


def _objects(response: httpx2.Response) -> list[dict[str, Any]]:
    """Return the JSON object, or the array of objects, that was answered."""
    try:
        content = response.json()
    except ValueError:
        _not_mainspring(response)
    objects = content if isinstance(content, list) else [content]
    if not all(isinstance(item, dict) for item in objects):
        _not_mainspring(response)
    return objects


def _masked(url: str) -> str:
    from mainspring.settings import masked

    return masked(url)
