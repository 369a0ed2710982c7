"""Requests that are drawn: for each call of the OpenAPI document one that it allows, bent in some places."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote, unquote
from uuid import UUID

from fuzz.values import anything, near

Schema = dict[str, Any]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
OTHER_METHODS = ("TRACE", "PROPFIND", "PURGE", "LINK", "M-SEARCH")
OTHER_PATHS = (
    "/", "/docs", "/docs/", "/docs/start.js", "/docs/../gate.py", "/openapi.json", "/livez", "/readyz", "/metrics",
    "/api", "/api/schedulers/", "/api/schedulers//", "/api/schedulers/vps4", "/api/schedulers/shop/none/jobs", "//",
    "/%2e%2e/",
    "/api/schedulers/calendars/", "/favicon.ico", "/api/schedulers/shop/notes/jobs/", "*", "http://evil.example/livez",
)  # fmt: skip
MEDIA_TYPES = (
    "application/json", "application/json; charset=utf-8", "application/x-ndjson", "application/merge-patch+json",
    "text/plain", "", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "a",
)  # fmt: skip
ODD_HEADERS = (
    ("Accept", "application/json"), ("Accept", "text/html"), ("Accept", "*/*;q=0"), ("Accept", "\xff"), ("If-Match",
    "*"),
    ("If-Match", '"1"'), ("If-Match", '"1", "2"'), ("If-Match", "W/1"), ("If-Match", '"' + "9" * 40 + '"'),
    ("X-Request-ID", "a" * 65), ("X-Request-ID", "\x7f"), ("X-Request-ID", "ok-1"), ("Range", "bytes=0-"),
    ("Range", "bytes=9-1"), ("If-None-Match", "*"), ("If-Modified-Since", "yesterday"), ("Cookie", "a=b"),
    ("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "none"),
    ("Content-Encoding", "gzip"), ("Expect", "100-continue"), ("Expect", "the unexpected"), ("X", "y" * 9000),
    ("Connection", "close"), ("Connection", "upgrade"), ("Upgrade", "websocket"), ("Forwarded", "for=evil"),
    ("X-HTTP-Method-Override", "DELETE"), ("Idempotency-Key", ""), ("Host", "evil.example"), ("Host", "localhost"),
)  # fmt: skip
ODD_BODIES = (
    b"", b" ", b"{", b"[", b"nul", b'"a"', b"0", b"null", b"[]", b"{}", b'{"a":1,"a":2}', b'{"when":NaN}',
    b'{"a":1e400}',
    b'{"a":' + b"9" * 5000 + b"}", b"[" * 40 + b"]" * 40, b'{"a":' * 99999, b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}",
    b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":"\\u0000"}', b"[" + b"0," * 2000 + b"0]", b"{}\n{}\n", b"{},{}",
    b"x" * 300_000,
)  # fmt: skip
FEW_JOBS, MANY_JOBS = 30, 300
"""Of fewer jobs more are created, of more jobs one is deleted."""


class Request(NamedTuple):
    """One request as it goes over the wire, and what is known of it."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    @property
    def path(self) -> str:
        """The target without its query or fragment, and without a scheme and a host before it."""
        return re.sub("^https?://[^/]+|[?#].*", "", self.target, flags=re.DOTALL)

    def encode(self, host: str) -> bytes:
        """Write it down. A `Host` and a length are added, unless it has its own."""
        names = {name.lower() for name, _ in self.headers}
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        lines += [] if "host" in names else [f"Host: {host}"]
        lines += [] if self.body is None else [f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (self.body or b"")


class Operation(NamedTuple):
    """A call as the document has it."""

    method: str
    path: str
    parameters: list[Schema]
    body: Mapping[str, Schema]
    """By media type: its schema and an example."""


class Draw:
    """Draws requests by chance, for the service that has this document."""

    def __init__(self, document: Schema, random: Random, jobs: list[str]) -> None:
        self.jobs = jobs
        """The paths of jobs that are there."""
        self._schemas: dict[str, Schema] = document["components"]["schemas"]
        self._operations = list(operations(document))
        self._creating = [each for each in self._operations if each.method == "POST" and each.path.endswith("/jobs")]
        self._products = sorted({each.path.split("/")[3] for each in self._creating})
        self._random = random

    def request(self) -> Request:
        """Draw the next request."""
        if len(self.jobs) > MANY_JOBS:
            return Request("DELETE", self.jobs.pop(0))
        is_lonely = len(self.jobs) < FEW_JOBS and self._random.random() < 0.4
        operation = self._random.choice(self._creating if is_lonely else self._operations)
        media_type, body = self._body(operation)
        request = Request(
            operation.method,
            self._path(operation) + self._query(operation),
            (("Content-Type", media_type),) if media_type else (),
            body,
        )
        while self._random.random() < 0.25:
            request = self._bent(request)
        return as_page(request)

    # --- parts of a good request

    def _path(self, operation: Operation) -> str:
        random = self._random
        path = operation.path
        group, _, rest = path.partition("/{jobId}")
        if group != path and self.jobs and random.random() < 0.9:
            path = random.choice(self.jobs[-20:]) + rest  # of any group: what can be done with a job is the same in all
        names = {
            "jobId": str(UUID(int=random.getrandbits(128))),
            "name": random.choice(("freeze", "a", "a-b.c_d")),
            "node": random.choice(("node-1", "a:b", "~")),
            "action": str(UUID(int=random.getrandbits(128))),
            "delivery": str(UUID(int=random.getrandbits(128))),
            "problem": random.choice(("job-not-found", "nothing")),
            "product": random.choice((*self._products, "nobody")),
            "run": str(random.choice((1, 7, 2**63))),
        }
        return re.sub("{(.*?)}", lambda match: names[match[1]], path)

    def _query(self, operation: Operation) -> str:
        random = self._random
        chosen = [each for each in operation.parameters if each["in"] == "query" and random.random() < 0.3]
        pairs = [(each["name"], self._parameter(each)) for each in chosen]
        if operation.path.endswith("/jobs") and operation.method == "GET" and random.random() < 0.97:
            pairs.append(("limit", str(random.randint(1, 30))))  # or the answers grow with the jobs
        return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs) if pairs else ""

    def _parameter(self, parameter: Schema) -> str:
        value = self._value(parameter["schema"], parameter["name"])
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        return {"True": "true", "False": "false"}.get(text, text).encode(errors="replace").decode()

    def _body(self, operation: Operation) -> tuple[str, bytes | None]:
        if not operation.body:
            return "", None
        media_type = self._random.choice(list(operation.body))
        content = operation.body[media_type]
        as_shown = self._random.random() < 0.3 and "json" in media_type
        value = content["example"] if as_shown else self._value(content["schema"], "")
        while self._random.random() < 0.3:
            value = self._with_another(value)
        return media_type, json.dumps(value, ensure_ascii=self._random.random() < 0.5).encode(errors="backslashreplace")

    def _value(self, schema: Schema, name: str, depth: int = 0) -> Any:
        """Draw a value that a schema allows, or nearly so."""
        random = self._random
        if "$ref" in schema:
            return self._value(self._schemas[schema["$ref"].rpartition("/")[2]], name, depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return random.choice(schema["enum"])
        if choices := schema.get("anyOf", schema.get("oneOf")) if "properties" not in schema else None:
            return self._value(random.choice(choices), name, depth + 1)
        kinds = schema.get("type", "any")
        match random.choice(kinds) if isinstance(kinds, list) else kinds:
            case "object":
                return self._object(schema, depth)
            case "array":
                length = random.randint(schema.get("minItems", 0), 3)
                return [self._value(schema.get("items", {}), name, depth + 1) for _ in range(length)]
            case "integer":
                return random.randint(max(schema.get("minimum", 0), 0), min(schema.get("maximum", 9), 99))
            case "number":
                return random.choice((0, 1, 1.5, 99.9))
            case "boolean":
                return random.random() < 0.5
            case "null":
                return None
            case "string" if schema.get("format") == "uuid":
                return str(UUID(int=random.getrandbits(128)))
            case _:
                return near(name, random)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        random = self._random
        required, properties = schema.get("required", ()), schema.get("properties", {})
        share = 0.5 if depth < 2 else 0.2
        chosen = [
            name for name in properties if name in required or random.random() < share / (1 + len(properties) / 9)
        ]
        if "when" in properties and not {"when", "schedule"} & {*chosen}:
            chosen.append(random.choice(("when", "schedule")))
        if "cron" in properties and not {"cron", "rrule", "every", "at", "anyOf"} & {*chosen}:
            chosen.append(random.choice(("cron", "rrule", "every", "at")))
        return {name: self._value(properties[name], name, depth + 1) for name in chosen}

    def _with_another(self, value: Any) -> Any:
        """Return a value with something else in one place."""
        random = self._random
        if isinstance(value, dict) and value and random.random() < 0.8:
            name = random.choice(list(value))
            if random.random() < 0.1:
                return {each: inner for each, inner in value.items() if each != name}
            return value | {name: self._with_another(value[name])}
        if isinstance(value, dict):
            return value | {str(anything(random)): anything(random)}
        if isinstance(value, list) and value and random.random() < 0.8:
            place = random.randrange(len(value))
            return [*value[:place], self._with_another(value[place]), *value[place + 1 :]]
        return anything(random)

    # --- what is wrong with a request

    def _bent(self, request: Request) -> Request:
        random = self._random
        match random.randrange(9):
            case 0:
                return request._replace(method=random.choice(METHODS if random.random() < 0.9 else OTHER_METHODS))
            case 1:
                return request._replace(target=random.choice(OTHER_PATHS))
            case 2:
                return request._replace(target=self._bent_target(request.target))
            case 3:
                name = random.choice(
                    ("limit", "cursor", "state", "from", "next", "dryRun", "outageFrom", "before", "x")
                )
                value = quote(str(near(name, random)).encode(errors="replace"), safe="")
                return request._replace(target=f"{request.target}{'&' if '?' in request.target else '?'}{name}={value}")
            case 4 if request.body is not None:
                others = tuple(header for header in request.headers if header[0] != "Content-Type")
                return request._replace(headers=(*others, ("Content-Type", random.choice(MEDIA_TYPES))))
            case 5 if request.body:
                place = random.randrange(len(request.body))
                bits = bytes(random.getrandbits(8) for _ in range(random.randrange(4)))
                return request._replace(body=request.body[:place] + bits + request.body[place + random.randrange(3) :])
            case 6:
                return request._replace(body=random.choice(ODD_BODIES) if random.random() < 0.5 else None)
            case 7:
                return request._replace(target=request.target.replace("/api/schedulers", "/api/scheduler"))
            case _:
                return request._replace(headers=(*request.headers, random.choice(ODD_HEADERS)))

    def _bent_target(self, target: str) -> str:
        random = self._random
        place = random.randrange(len(target))
        bits = (
            "/",
            "%",
            "%00",
            "%2F",
            "%zz",
            "%ff",
            "%C3%A9",
            "?",
            "&",
            "=",
            "#",
            ".",
            "..",
            "a" * 9000,
            "\xe9",
            "{",
            "'",
        )
        return target[:place] + random.choice(bits) + target[place + random.randrange(2) :]


def as_page(request: Request) -> Request:
    """Ask for the events that there are, where the answer would else be a stream without an end, or be waited for."""
    if not unquote(request.path).endswith("/events"):
        return request
    headers = tuple(header for header in request.headers if header[0] != "Accept" or "*/*" not in header[1])
    if not any(name == "Accept" for name, _ in headers):
        headers = (*headers, ("Accept", "application/json"))
    target = request.target.partition("#")[0]
    return request._replace(target=f"{target}{'&' if '?' in target else '?'}wait=0", headers=headers)


def operations(document: Schema) -> Iterable[Operation]:
    """Return the calls of a document."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                content = operation.get("requestBody", {}).get("content", {})
                parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
                yield Operation(method.upper(), path, parameters, content)
