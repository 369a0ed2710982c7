"""Which addresses are reachable from everywhere: the registries of IANA, and the forms that carry an IPv4 address."""

from ipaddress import ip_address

import pytest

from mainspring.declared import special_purpose

GLOBAL = """
1.0.0.1 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 185.199.108.153 191.255.255.255 192.0.0.9 192.0.0.10 192.0.1.0
192.0.3.0 192.31.196.1 192.52.193.1 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 192.175.48.1 198.17.255.255
198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
2000::1 2001:1::1 2001:1::2 2001:1::3 2001:3::1 2001:4:112::1 2001:20::1 2001:2f:ffff::1 2001:30::1 2001:200::1
2001:470::1 2001:4860:4860::8888 2003::1 2400:cb00::1 2606:4700:4700::1111 2620:4f:8000::1 2a00:1450:4001::1
2c0f:fb50::1 3ffe::1 3fff:1000::1
::ffff:8.8.8.8 ::ffff:1.1.1.1 64:ff9b::8.8.8.8 64:ff9b::808:808 2002:808:808::1 2001:0:808:808:0:0:f7f7:f7f7
2001:470:1::5efe:808:808
"""
SPECIAL = """
0.0.0.0 0.0.0.1 0.255.255.255 10.0.0.0 10.1.2.3 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255 127.0.0.0
127.0.0.1 127.1.2.3 127.255.255.255 169.254.0.0 169.254.169.254 169.254.170.2 169.254.255.255 172.16.0.0 172.31.255.255
192.0.0.0 192.0.0.8 192.0.0.11 192.0.0.170 192.0.0.192 192.0.0.255 192.0.2.1 192.88.99.1 192.168.0.0 192.168.1.1
192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 254.1.2.3
255.255.255.254 255.255.255.255
:: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:0.0.0.0 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8 64:ff9b::127.0.0.1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::a9fe:a9fe
64:ff9b:1:: 64:ff9b:1::7f00:1
64:ff9b:1:ffff:: 64:ff9b:2::1 100:: 100::1 100:0:0:1::1 100:0:0:2::1 200::1 400::1 1fff::1 2001::1 2001:0:7f00:1::1
2001:0:808:808:0:0:80ff:fffe 2001:1::4 2001:2::1 2001:4:113::1 2001:10::1 2001:1f:ffff::1 2001:40::1 2001:1ff::1
2001:db8::1 2001:db8:ffff::1 2001:470:1::5efe:7f00:1 2001:470:1::200:5efe:a00:1 2002:7f00:1:: 2002:7f00:1::1
2002:a00:1::1 2002:a9fe:a9fe::1 2002:c0a8:101::1 2002::1 3fff::1 3fff:fff:ffff::1 4000::1 5f00::1 5f00:ffff::1 8000::1
fbff::1 fc00::1 fd00:ec2::254 fdff:ffff::1 fe00::1 fe80::1 fe80::1%eth0 febf:ffff::1 fec0::1 feff::1 ff00::1 ff02::1
ff0e::1 ffff:ffff::1
"""


@pytest.mark.parametrize("address", GLOBAL.split())
def test_reachable_from_everywhere(address: str) -> None:
    """It may be called, and what it carries too."""
    assert special_purpose(ip_address(address)) is None


@pytest.mark.parametrize("address", SPECIAL.split())
def test_reachable_from_inside_only(address: str) -> None:
    """It is refused, in words."""
    assert special_purpose(ip_address(address))


def test_the_table_is_long() -> None:
    """Both sides of the borders of each block are in it."""
    assert len(set(GLOBAL.split()) | set(SPECIAL.split())) >= 120
    assert not set(GLOBAL.split()) & set(SPECIAL.split())
