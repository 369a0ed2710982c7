"""Whom the service answers: which hosts a request may name, and which pages of a browser may change something.

A web page can make its reader's browser send requests to this machine, and it can let a name of its own lead here (DNS
rebinding): then the browser takes our answers for that page's own. `Host` gives that name away. A page of another
origin cannot read answers, but what it sends would have its effect: `Origin` and `Sec-Fetch-Site` give that page away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv6Address

from starlette.types import Scope

from mainspring.web.problem import HttpError

LOCAL = ("127.0.0.1", "localhost", "::1")
"""The machine itself, which is always answered. A name that leads here is another host."""
PROBES = frozenset({"/livez", "/readyz"})
"""Answer whatever host is named: probes name an address, and nothing is told here."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_PAGES = frozenset({b"origin", b"sec-fetch-site"})
_OUR_OWN = frozenset({b"same-origin", b"none"})
"""What a browser says of a request of our own page, or of a person who typed the address."""
_PORTS = {b"http": b":80", b"https": b":443"}
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._~%!$&'()*+,;=-]+))(?::[0-9]*)?", re.ASCII)


class Hosts:
    """The hosts that are answered: `LOCAL`, and those of these names and addresses."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(map(_plain, (*LOCAL, *names)))

    def check(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Refuse a request that is meant for another host, or comes from a page of one. Raises `HttpError`."""
        is_probe = scope["path"] in PROBES
        named = headers.get(b"host")
        if named is None:
            if is_probe and scope["http_version"] == "1.0":
                return  # which knows no Host
            raise HttpError(400, "HOST_INVALID", "the request has no Host")
        if len(headers) < len(scope["headers"]) and len(_all(b"host", scope)) > 1:
            raise HttpError(400, "HOST_INVALID", "the request has more than one Host")
        if not is_probe and _host_of(named) not in self._names:
            raise HttpError(
                421,
                "HOST_NOT_ALLOWED",
                "the service does not answer for the host that the request names; its operator can add it to the "
                "setting allowed_hosts",
            )
        if scope["method"] not in _SAFE and not _OF_PAGES.isdisjoint(headers):
            _check_page(scope, named)


def _check_page(scope: Scope, named: bytes) -> None:
    """Refuse a request that a page of another origin sent."""
    sites, origins = _all(b"sec-fetch-site", scope), _all(b"origin", scope)
    if not _OUR_OWN.issuperset(sites) or any(not _is_at(origin, named) for origin in origins):
        raise HttpError(403, "CROSS_ORIGIN", "only pages of the service itself may change anything")


def _all(name: bytes, scope: Scope) -> list[bytes]:
    return [value for each, value in scope["headers"] if each == name]


@lru_cache(maxsize=64)
def _host_of(named: bytes) -> str:
    """Return the host of a `Host` header without its port. Raises `HttpError`."""
    if match := _HOST.fullmatch(named.decode("latin-1")):
        with suppress(ValueError):
            return _plain(match["address"] or match["name"])
    raise HttpError(400, "HOST_INVALID", "Host must be a host, and perhaps a port, as in localhost:8089")


def _plain(host: str) -> str:
    """Return the one spelling of a host by which it is compared. Raises `ValueError` for no IPv6 address."""
    host = host.lower()
    return str(IPv6Address(host.partition("%")[0])) if ":" in host else host


def _is_at(origin: bytes, named: bytes) -> bool:
    """Say whether an origin is that of the host and port that a request names; a proxy in front may speak HTTPS."""
    scheme, _, place = origin.lower().partition(b"://")
    port = _PORTS.get(scheme)
    return port is not None and place.removesuffix(port) == named.lower().removesuffix(port)
