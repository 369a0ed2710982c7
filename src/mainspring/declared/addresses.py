"""Which addresses are reachable from everywhere, by the special-purpose registries of IANA.

The standard library is not used to judge: `ipaddress` of Python 3.11 calls ``::127.0.0.1``, ``64:ff9b::7f00:1``,
``2002:7f00:1::``, ``fec0::1`` and ``224.0.0.1`` global. Forms that carry an IPv4 address are judged by that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_IPV4 = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by customers of a provider",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "for protocols of the IETF",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "a relay of 6to4",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
_IPV4_GLOBAL = ("192.0.0.9/32", "192.0.0.10/32")
"""Parts of special blocks that are reachable all the same."""

_IPV6 = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::/96": "compatible with IPv4, in a form that is not used any more",
    "::ffff:0:0:0/96": "translated from IPv4",
    "64:ff9b:1::/48": "a local translation of IPv4",
    "100::/64": "for discarding",
    "100:0:0:1::/64": "a dummy prefix",
    "2001::/23": "for protocols of the IETF",
    "2001:db8::/32": "for documentation",
    "3fff::/20": "for documentation",
    "5f00::/16": "for segment routing",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
_IPV6_GLOBAL = (
    "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32", "2001:4:112::/48", "2001:20::/28",
    "2001:30::/28",
)  # fmt: skip

_SPECIAL_4 = [(IPv4Network(block), words) for block, words in _IPV4.items()]
_GLOBAL_4 = [IPv4Network(block) for block in _IPV4_GLOBAL]
_SPECIAL_6 = [(IPv6Network(block), words) for block, words in _IPV6.items()]
_GLOBAL_6 = [IPv6Network(block) for block in _IPV6_GLOBAL]
_UNICAST = IPv6Network("2000::/3")
"""All that IANA has given out to be reachable from everywhere."""
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_TEREDO = IPv6Network("2001::/32")
_6TO4 = IPv6Network("2002::/16")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
"""The first half of an interface id that carries an IPv4 address in its second half."""
_LOW = 0xFFFFFFFF


def special_purpose(address: IPv4Address | IPv6Address) -> str | None:
    """Say in words what an address is for that is not reachable from everywhere; `None` for one that is."""
    if isinstance(address, IPv4Address):
        if any(address in block for block in _GLOBAL_4):
            return None
        return next((words for block, words in _SPECIAL_4 if address in block), None)
    if address.scope_id is not None:
        return "link-local"
    if carried := list(_carried(address)):
        return next((words for each in carried if (words := special_purpose(each)) is not None), None)
    if any(address in block for block in _GLOBAL_6):
        return None
    words = next((words for block, words in _SPECIAL_6 if address in block), None)
    return words or (None if address in _UNICAST else "reserved")


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address of the form ``::ffff:a.b.c.d`` is, else the address itself."""
    if isinstance(address, IPv6Address) and address in _MAPPED:
        return IPv4Address(int(address) & _LOW)
    return address


def _carried(address: IPv6Address) -> Iterator[IPv4Address]:
    """Return the IPv4 addresses that lead to where the address leads."""
    number = int(address)
    if address in _MAPPED or address in _NAT64:
        yield IPv4Address(number & _LOW)
    elif address in _6TO4:
        yield IPv4Address(number >> 80 & _LOW)
    elif address in _TEREDO:
        yield IPv4Address(number >> 64 & _LOW)
        yield IPv4Address(number & _LOW ^ _LOW)
    elif address in _UNICAST and number >> 32 & _LOW in _ISATAP and special_purpose(IPv4Address(number & _LOW)):
        yield IPv4Address(number & _LOW)
