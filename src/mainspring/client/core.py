"""What both clients do without I/O: requests from calls, answers or errors from responses, and what is tried again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from mainspring.client.answers import nothing
from mainspring.client.call import Answer, Call
from mainspring.client.errors import (
    AddressError,
    MainspringError,
    NoAnswerError,
    NotFound,
    NotMainspringError,
    ProblemError,
    problem_error,
)
from mainspring.clock import Clock

T = TypeVar("T")
DEFAULT_URL = "http://127.0.0.1:8089"
_PROBLEM = "application/problem+json"
SILENCE_SECONDS = 60.0
"""After how long a stream of events is taken for dead: the service says something every 15 seconds."""
_BUSY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is sent again, if that is safe: on lost connections, on timeouts, on 429, 502, 503 and 504.

    Safe are `GET`, `PUT` and `DELETE` without conditions, and `POST`, which has an idempotency key.
    """

    attempts: int = 5
    """How often it is sent at most; 1 never sends it again."""
    total: float = 60.0
    """Seconds after which no further try begins, with pauses."""
    first_pause: float = 0.1
    """Seconds before the second try, about; each further pause is twice as long."""
    longest_pause: float = 10.0
    """Seconds of the longest pause. A service that asks for a longer one by `Retry-After` is not asked again."""


def base_url(url: str | None) -> str:
    """Return the URL of the service: `url`, else MAINSPRING_URL, else that of this machine."""
    found = (url or os.environ.get("MAINSPRING_URL") or DEFAULT_URL).rstrip("/")
    try:
        parts = urlsplit(found)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        right = False
    if not right:
        raise AddressError(f"the URL of the service is no address such as {DEFAULT_URL}")
    return found


def request_headers(token: str | None) -> dict[str, str]:
    """Return what every request says."""
    return {"Authorization": f"Bearer {token}"} if token else {}


@contextmanager
def own_errors() -> Iterator[None]:
    """Turn what the HTTP library raises into errors of ours."""
    try:
        yield
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise AddressError(f"the URL of the service is no address such as {DEFAULT_URL}") from error
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise NoAnswerError(reason) from error


def answer_of(response: httpx2.Response, call: Call[Any]) -> Answer:
    """Return the answer, or raise what the service or something before it says."""
    if not (response.is_success or response.status_code in call.accepts):
        raise error_of(response)
    link = response.links.get("next", {}).get("url")
    return Answer(response.status_code, response.headers, response.content, link and _here(link))


def _here(link: str) -> str:
    """Return a link without its host: what answers must not send the token elsewhere."""
    parts = urlsplit(link)
    return parts._replace(scheme="", netloc="", path="/" + parts.path.lstrip("/")).geturl()


def read(call: Call[T], answer: Answer) -> T:
    """Read an answer. One that is not what Mainspring answers is a `NotMainspringError`."""
    try:
        return call.read(answer)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise NotMainspringError(f"{answer.status}, but not as Mainspring answers", answer.status) from error


def error_of(response: httpx2.Response) -> MainspringError:
    """Return the error for a response that is none of success; its body has been read."""
    status, retry_after = response.status_code, _seconds(response.headers)
    if response.headers.get("Content-Type", "").partition(";")[0] == _PROBLEM:
        try:
            raw = response.json()
        except ValueError:
            raw = None
        if isinstance(raw, dict):
            return problem_error(status, raw, retry_after)
    return NotMainspringError(f"{status} {response.reason_phrase}, but not as Mainspring answers", status, retry_after)


def _seconds(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isdecimal() else None


def again(retries: Retries, call: Call[Any]) -> Callable[[Exception], bool | float]:
    """Return what decides whether a call is sent again after an error, and after how many seconds if that was said."""

    def decide(error: Exception) -> bool | float:
        if not call.is_repeatable:
            return False
        if isinstance(error, NoAnswerError):
            return True
        if isinstance(error, ProblemError | NotMainspringError) and (error.status in _BUSY or _is_under_way(error)):
            if isinstance(error, ProblemError) and not error.retryable:
                return False
            return True if error.retry_after is None else _bounded(error.retry_after, retries)
        return False

    return decide


def _is_under_way(error: MainspringError) -> bool:
    """Whether a try before, whose answer did not come in time, is still carried out."""
    return isinstance(error, ProblemError) and error.code == "IDEMPOTENCY_IN_FLIGHT"


def _bounded(seconds: float, retries: Retries) -> bool | float:
    return seconds if seconds <= retries.longest_pause else False


class Tries:
    """The tries of one call: which it is, and after each that failed whether another follows, and when."""

    def __init__(self, retries: Retries, call: Call[Any], clock: Clock) -> None:
        self.number = 1
        self._retries = retries
        self._decide = again(retries, call)
        self._clock = clock
        self._began = clock.monotonic()

    def pause(self, error: MainspringError) -> float | None:
        """Return the seconds before the next try after an error; None if there is no other."""
        wanted = self._decide(error)
        if wanted is False or self.number >= self._retries.attempts:
            return None
        pause = self._longer() if wanted is True else float(wanted)
        if self._clock.monotonic() + pause > self._began + self._retries.total:
            return None
        self.number += 1
        return pause

    def _longer(self) -> float:
        """Return twice the pause before, with a part that is left to chance: callers part so."""
        pause = self._retries.first_pause * 2 ** (self.number - 1) + self._retries.first_pause * self._clock.chance()
        return float(min(pause, self._retries.longest_pause))


def is_done_before(error: MainspringError, call: Call[Any], attempt: int) -> bool:
    """Whether a delete finds nothing because a try before it, whose answer was lost, was carried out."""
    return attempt > 1 and call.read is nothing and isinstance(error, NotFound)


def pauses() -> Iterator[float]:
    """Yield the seconds between two looks at a job: soon at first, later every five seconds."""
    pause = 0.1
    while True:
        yield pause
        pause = min(pause * 1.5, 1.0) if pause < 1.0 else min(pause * 1.1, 5.0)


class ComingBack:
    """Decides whether and when events are asked for again, after their connection has ended."""

    def __init__(self, retries: Retries, clock: Clock) -> None:
        self._retries = retries
        self._clock = clock
        self._failures = 0
        self._since = 0.0

    def pause(self, call: Call[None], error: MainspringError | None, *, has_heard: bool) -> float:
        """Return the seconds before that, after an error or the end that the service has made.

        Raises the error if it does not go away, or if the service has said nothing for `Retries.total` seconds.
        """
        if has_heard or not self._failures:
            self._failures, self._since = 0, self._clock.monotonic()
        if error is None:
            return self._retries.first_pause
        self._failures += 1
        away = self._clock.monotonic() - self._since
        asked = again(self._retries, call)(error)
        if self._retries.attempts <= 1 or away >= self._retries.total or asked is False:
            raise error
        if asked is not True:
            return asked
        return float(min(self._retries.first_pause * 2**self._failures, self._retries.longest_pause))
