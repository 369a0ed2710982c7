"""One call, described without doing it: what is sent, and how its answer is read.

`Method` turns a description into a method of both clients: `Client` returns what is read, `AsyncClient` a coroutine of
it. `Listing` does the same for lists, which follow their pages.
"""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload
from uuid import UUID, uuid4

from mainspring.client.times import moment_text

if TYPE_CHECKING:
    from mainspring.client.asynchronous import AsyncClient
    from mainspring.client.synchronous import Client

P = ParamSpec("P")
T = TypeVar("T")

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no error: its status, its headers with small names, and its body."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    next: str | None = None
    """The path of the next page; None if this is the last one, or no page."""

    def json(self) -> Any:
        """Return what the body says. A body that is not JSON is a `ValueError`."""
        return json.loads(self.content)

    @property
    def etag(self) -> str | None:
        """The `ETag`, to be sent as `if_match`."""
        return self.headers.get("etag")

    @property
    def is_replay(self) -> bool:
        """Whether the service had carried out the call before, and repeated its answer."""
        return self.headers.get("idempotency-replayed") == "true"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What is sent, and how the answer is read."""

    method: str
    path: str
    read: Callable[[Answer], T]
    params: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    accepts: frozenset[int] = frozenset()
    """Statuses that are answers here, although they are none of success."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent again when it is not known what became of it.

        What has a condition may not: if the first one was carried out, the second finds its own change.
        """
        if "If-Match" in self.headers or ("If-None-Match" in self.headers and self.method != "GET"):
            return False
        return self.method in {"GET", "PUT", "DELETE"} or "Idempotency-Key" in self.headers


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries of a list."""

    items: tuple[T, ...]
    next: str | None
    """The path of the next page; None if this is the last one."""


def get(path: str, read: Callable[[Answer], T], params: tuple[tuple[str, str], ...] = ()) -> Call[T]:
    """Describe a `GET`."""
    return Call("GET", path, read, params)


def post(
    path: str,
    read: Callable[[Answer], T],
    body: object = None,
    params: tuple[tuple[str, str], ...] = (),
    key: str | None = None,
) -> Call[T]:
    """Describe a `POST`. Without a `key` it gets a fresh one, so that sending it twice does it once."""
    return _write("POST", path, read, body, params, {"Idempotency-Key": key or str(uuid4())})


def put(
    path: str,
    read: Callable[[Answer], T],
    body: object,
    headers: Mapping[str, str] | None = None,
    params: tuple[tuple[str, str], ...] = (),
) -> Call[T]:
    """Describe a `PUT`."""
    return _write("PUT", path, read, body, params, headers or {})


def patch(path: str, read: Callable[[Answer], T], body: object, headers: Mapping[str, str]) -> Call[T]:
    """Describe a `PATCH`."""
    return _write("PATCH", path, read, body, (), headers)


def delete(path: str, read: Callable[[Answer], T], headers: Mapping[str, str] | None = None) -> Call[T]:
    """Describe a `DELETE`."""
    return Call("DELETE", path, read, (), None, headers or {})


def _write(
    method: str,
    path: str,
    read: Callable[[Answer], T],
    body: object,
    params: tuple[tuple[str, str], ...],
    headers: Mapping[str, str],
) -> Call[T]:
    if body is None:
        return Call(method, path, read, params, None, headers)
    return Call(method, path, read, params, to_json(body), {"Content-Type": JSON_TYPE, **headers})


def to_json(body: object) -> bytes:
    """Write a body; UUIDs and aware moments are text. What JSON cannot say, such as NaN, is a `ValueError`."""
    return json.dumps(body, allow_nan=False, separators=(",", ":"), default=_text).encode()


def _text(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return moment_text(value, value)
    raise TypeError(f"{type(value).__name__} has no form in JSON: pass text, numbers, lists and objects")


def if_match(etag: str | int | None) -> dict[str, str]:
    """Return the header by which only what is unchanged is written: an `ETag`, or the version of a job."""
    if etag is None:
        return {}
    return {"If-Match": f'"{etag}"' if isinstance(etag, int) else etag}


# --- from a description to a method of both clients -------------------------------------------------------------------


class Method(Generic[P, T]):
    """A call as a method: of `Client` it returns the answer, of `AsyncClient` a coroutine of it."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Call[T]]) -> None:
        self.describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Method[P, T]: ...
    @overload
    def __get__(self, instance: Client, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: AsyncClient, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self

        @functools.wraps(self.describe)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return instance.send(self.describe(instance, *args, **kwargs))

        return method


class Listing(Generic[P, T]):
    """A list as a method: of `Client` it returns `Items`, of `AsyncClient` `AsyncItems`."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Call[Page[T]]]) -> None:
        self.describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Listing[P, T]: ...
    @overload
    def __get__(self, instance: Client, owner: type) -> Callable[P, Items[T]]: ...
    @overload
    def __get__(self, instance: AsyncClient, owner: type) -> Callable[P, AsyncItems[T]]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self

        @functools.wraps(self.describe)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return instance.items(self.describe(instance, *args, **kwargs))

        return method


class Items(Generic[T]):
    """The entries of a list. Iterating asks for one page after the other; each iteration begins anew."""

    def __init__(self, client: Client, call: Call[Page[T]]) -> None:
        self._client = client
        self._call = call

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[T]]:
        """Return the pages one by one, each asked for when it is needed."""
        call: Call[Page[T]] | None = self._call
        while call is not None:
            page = self._client.send(call)
            yield page
            call = following(call, page)


class AsyncItems(Generic[T]):
    """The entries of a list. Iterating asks for one page after the other; each iteration begins anew."""

    def __init__(self, client: AsyncClient, call: Call[Page[T]]) -> None:
        self._client = client
        self._call = call

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Return the pages one by one, each asked for when it is needed."""
        call: Call[Page[T]] | None = self._call
        while call is not None:
            page = await self._client.send(call)
            yield page
            call = following(call, page)


def following(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """Return the call for the next page; None if there is none."""
    return None if page.next is None else replace(call, path=page.next, params=())
