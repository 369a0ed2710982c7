"""Where an HTTP job may go: reads a URL without guessing, and knows which targets an operator has allowed.

A host has one spelling here. What a resolver or a browser would bend into an address, such as ``2130706433``,
``0x7f000001``, ``127.1`` or full-width digits, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from mainspring.declared.addresses import special_purpose, unmapped

SCHEME, FORBIDDEN = "HTTP_URL_SCHEME", "HTTP_TARGET_FORBIDDEN"
LONGEST_URL = 8000
"""Characters of a URL."""
_PORTS = {"http": 80, "https": 443}
_MOST = 65535
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)", re.IGNORECASE)
_LEGAL = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]*")
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_LONGEST_NAME = 253
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DOTS = re.compile(r"(?i)(?:\.|%2e){1,2}")

Address = IPv4Address | IPv6Address


class TargetError(ValueError):
    """A URL that is not called: `code` says which rule, the text why, as the end of a sentence about the URL."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL names. `host` is in small letters and without brackets, `rest` is path and query, never empty."""

    scheme: str
    host: str
    port: int
    rest: str

    @property
    def address(self) -> Address | None:
        """The address, where the host is one; `None` for a name."""
        return _address(self.host)

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL; the usual port of the scheme is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole."""
        return f"{self.scheme}://{self.authority}{self.rest}"


def read_target(url: str) -> Target:
    """Read an absolute URL of http or https. Raises `TargetError`; whether it is allowed is not looked at."""
    parts = _URL.fullmatch(url)
    if parts is None:
        raise TargetError(SCHEME, "must be an absolute URL that begins with http:// or https://, without a fragment")
    if len(url) > LONGEST_URL:
        raise TargetError(FORBIDDEN, f"is longer than {LONGEST_URL} characters")
    if not url.isascii():
        raise TargetError(FORBIDDEN, "has characters beyond ASCII; write a host as xn--..., and others as %XX")
    if not _LEGAL.fullmatch(url) or _BROKEN_PERCENT.search(url):
        raise TargetError(FORBIDDEN, "has a character that no URL may have; write it as %XX")
    scheme = parts["scheme"].lower()
    host, port = _host_and_port(parts["authority"], _PORTS[scheme])
    rest = parts["rest"]
    path, *_ = rest.split("?")
    if any(_DOTS.fullmatch(segment) for segment in path.split("/")):
        raise TargetError(FORBIDDEN, "has a segment . or .. in its path")
    return Target(scheme, host, port, rest if rest.startswith("/") else f"/{rest}")


def _host_and_port(authority: str, usual: int) -> tuple[str, int]:
    """Take an authority apart. Raises `TargetError`."""
    if "@" in authority:
        raise TargetError(FORBIDDEN, "has a user or a password before its host")
    name, port = authority, str(usual)
    if found := re.fullmatch(r"(\[[^\]]*\]|[^:]*):([^:]*)", authority):
        name, port = found[1], found[2]
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) <= _MOST:
        raise TargetError(FORBIDDEN, f"has a port that is not a number from 1 to {_MOST}")
    return read_host(name), int(port)


def read_host(name: str) -> str:
    """Read a host as a URL has it, with an IPv6 address in brackets. Raises `TargetError`."""
    if name.startswith("["):
        try:
            return str(IPv6Address(name.removeprefix("[").removesuffix("]")))
        except ValueError:
            raise TargetError(FORBIDDEN, "has brackets around what is no IPv6 address") from None
    host = name.lower()
    if not host:
        raise TargetError(FORBIDDEN, "has no host")
    if host.endswith("."):
        raise TargetError(FORBIDDEN, "has a host that ends with a dot")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise TargetError(
                FORBIDDEN, "has a host that is an odd spelling of an address; write it as four decimal numbers"
            ) from None
    if len(host) > _LONGEST_NAME or not _NAME.fullmatch(host):
        raise TargetError(FORBIDDEN, "has a host that is no name of letters, digits, dots, _ and -")
    return host


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_local(host: str) -> bool:
    """Tell whether a name always means the machine itself."""
    return host == "localhost" or host.endswith(".localhost")


class AllowedTargets:
    """What a product may call though it is not reachable from everywhere: hosts, hosts with a port, and networks.

    Raises `ValueError` for an entry that is none of them.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._hosts: set[tuple[str, int | None]] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in entries:
            self._add(entry)

    def _add(self, entry: str) -> None:
        if "/" in entry:
            self._networks.append(ip_network(entry))
        elif (address := _address(entry)) is not None:
            self._hosts.add((str(address), None))
        elif re.search(r":[0-9]{1,5}$", entry):
            self._hosts.add(_host_and_port(entry, 0))
        else:
            self._hosts.add((read_host(entry), None))

    def has_host(self, target: Target) -> bool:
        """Tell whether the host of a target is allowed by its own name, wherever that leads."""
        return bool({(target.host, None), (target.host, target.port)} & self._hosts)

    def check(self, target: Target, addresses: Iterable[Address] = ()) -> None:
        """Check a target, and all the `addresses` that its name has.

        Raises `TargetError` if one of them is not reachable from everywhere, and is not allowed.
        """
        if self.has_host(target):
            return
        if is_local(target.host):
            raise TargetError(FORBIDDEN, f"has the host {target.host}, which is this machine itself")
        for address in self._with_own(target, addresses):
            if (words := special_purpose(address)) is not None and not self._has(address, target.port):
                named = "the host" if target.address else f"the host {target.host}, that is"
                raise TargetError(FORBIDDEN, f"has {named} {address}, which is {words}")

    def _with_own(self, target: Target, addresses: Iterable[Address]) -> Iterator[Address]:
        if (own := target.address) is not None:
            yield own
        yield from addresses

    def _has(self, address: Address, port: int) -> bool:
        plain = unmapped(address)
        if {(str(plain), None), (str(plain), port)} & self._hosts:
            return True
        return any(plain in network for network in self._networks if network.version == plain.version)
