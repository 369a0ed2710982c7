"""Calls that may be sent again: under an ``Idempotency-Key`` the first answer is kept, and given again.

A call that creates is simply done. The receipt of its answer goes into the store with what the call writes, so a call
that was done before is refused there, or by what it meets; only then is the first answer looked for. So a key costs a
call that is new no question. Before all other calls the first answer is looked for. The header is that of
draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, Generic, ParamSpec

from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from mainspring.errors import MainspringError, StoreUnavailableError
from mainspring.job import Receipt
from mainspring.service import SchedulerService
from mainspring.web.body import BODY_LIMIT
from mainspring.web.problem import HttpError
from mainspring.web.query import text

P = ParamSpec("P")
LONGEST_KEY = 255
IDEMPOTENCY_KEY = text(
    "Idempotency-Key",
    "Any text of your own for this call: when it is sent again, it is not done again, but answered as before.",
    minLength=1,
    maxLength=LONGEST_KEY,
    pattern=r"^[!-~]([ -~]*[!-~])?$",
)
_KEY = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{LONGEST_KEY - 2}}}[\x21-\x7e])?", re.ASCII)


class Keeping:
    """One call under a key, while it is done."""

    def __init__(self, request: Request, key: str) -> None:
        self._receive = request.receive
        self._sent = sha256(request.scope["query_string"] + b"\0")
        self.id = sha256(f"{request.scope['path']}\0{key}".encode()).digest()
        self.request = Request(request.scope, self._tell)
        self._heard: deque[Message] = deque()
        self.kept: Response | None = None
        """The answer that was last handed over to be written with what the call writes."""

    async def hear_all(self) -> None:
        """Receive the body, as far as a body may go; whoever reads it gets it all the same."""
        size, more = 0, True
        while more and size <= BODY_LIMIT:
            self._heard.append(message := await self._hear())
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)

    async def _tell(self) -> Message:
        return self._heard.popleft() if self._heard else await self._hear()

    async def _hear(self) -> Message:
        message = await self._receive()
        self._sent.update(message.get("body", b""))
        return message

    @property
    def fingerprint(self) -> bytes:
        """A digest of what was sent, as far as it was read."""
        return self._sent.digest()

    def receipt(self, response: Response) -> Receipt:
        """Return the receipt of an answer."""
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers]
        head = to_json({"status": response.status_code, "headers": headers})
        return Receipt(self.id, self.fingerprint, head + b"\n" + bytes(response.body))


class Once(Generic[P]):
    """Makes the answer of a call from what was written. Under a key it is made before that, as a receipt.

    `receipt` is for the use case, which has it written in the same commit; it is `None` without a key.
    """

    def __init__(self, respond: Callable[P, Response], keeping: Keeping | None) -> None:
        self._respond = respond
        self._keeping = keeping
        self._written: tuple[Any, ...] = ()
        self.receipt: Callable[P, Receipt] | None = None if keeping is None else self._made

    def _made(self, *written: P.args, **named: P.kwargs) -> Receipt:
        assert self._keeping is not None  # noqa: S101 - or there would be no `receipt`
        self._written, self._keeping.kept = written, self._respond(*written, **named)
        return self._keeping.receipt(self._keeping.kept)

    def __call__(self, *written: P.args, **named: P.kwargs) -> Response:
        """Return the answer: the one that was kept, if it says what was written."""
        if self._keeping is not None and self._keeping.kept is not None and self._written == written:
            return self._keeping.kept
        return self._respond(*written, **named)


class Idempotency:
    """Does each call once, and answers it again from its receipt."""

    def __init__(self, service: Callable[[], SchedulerService]) -> None:
        self._service = service
        self._under_way: set[bytes] = set()

    async def answer(
        self, request: Request, answer: Callable[[Keeping], Awaitable[Response]], *, looks_first: bool
    ) -> Response:
        """Answer a call that has a key. Raises `HttpError` 400, 409 and 422, and what `answer` raises."""
        keeping = Keeping(request, _read_key(request))
        if keeping.id in self._under_way:
            detail = "the first call with this Idempotency-Key is under way; send it again in a moment"
            raise HttpError(409, "IDEMPOTENCY_IN_FLIGHT", detail, {"Retry-After": "1"})
        self._under_way.add(keeping.id)
        try:
            if looks_first:
                await keeping.hear_all()
                if (again := await self._again(keeping)) is not None:
                    return again
            response = await answer(keeping)
            if response is not keeping.kept:
                await self._service().keep(keeping.receipt(response))
        except (HttpError, StoreUnavailableError):  # no such call was ever done; or nothing is known
            raise
        except MainspringError:
            if (again := await self._again(keeping)) is None:
                raise
            return again
        else:
            return response
        finally:
            self._under_way.discard(keeping.id)

    async def _again(self, keeping: Keeping) -> Response | None:
        """Return the first answer, if there is one. Raises `HttpError` if it was one to another call."""
        receipt = await self._service().receipt(keeping.id)
        if receipt is None:
            return None
        if receipt.fingerprint != keeping.fingerprint:
            detail = "another call was sent with this Idempotency-Key; each call needs a key of its own"
            raise HttpError(422, "IDEMPOTENCY_MISMATCH", detail)
        head, _, body = receipt.answer.partition(b"\n")
        said = from_json(head)
        response = Response(body, said["status"])
        response.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in said["headers"]]
        response.headers["Idempotency-Replayed"] = "true"
        return response


def _read_key(request: Request) -> str:
    """Return the key that came with a call. Raises `HttpError`."""
    keys = request.headers.getlist("idempotency-key")
    if len(keys) == 1 and _KEY.fullmatch(keys[0]):
        return keys[0]
    detail = f"must be one key of 1 to {LONGEST_KEY} printable ASCII characters"
    raise HttpError(400, "IDEMPOTENCY_KEY_INVALID", f"Idempotency-Key {detail}") from None
