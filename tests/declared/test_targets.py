"""URLs and hosts: one spelling of each, and what an operator may allow."""

from ipaddress import ip_address

import pytest

from mainspring.declared import AllowedTargets, Target, TargetError, read_target

OUTSIDE = AllowedTargets()


def code_of(url: str, allowed: AllowedTargets = OUTSIDE) -> str | None:
    """Read a URL and check it, as at POST: return the code of what is wrong."""
    try:
        allowed.check(read_target(url))
    except TargetError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "url",
    ["", "/relative", "example.com/x", "//example.com", "file:///etc/passwd", "gopher://example.com", "ftp://example.com",
     "http+unix://%2Frun/x", "http:example.com", "http:/example.com", "javascript:alert(1)", " http://example.com",
     "http://example.com/#x", "ws://example.com", "\thttp://example.com", "http\n://example.com"],
)  # fmt: skip
def test_other_schemes_are_refused(url: str) -> None:
    """Only absolute URLs of http and https are called."""
    assert code_of(url) == "HTTP_URL_SCHEME"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.01",
     "1.2.3.4.5", "256.1.1.1", "0x", "example.0x7f", "example.123", "\uff11\uff12\uff17.0.0.1",
     "127\u30020\u30020\u30021", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
     "[::127.0.0.1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::1", "::1", "[127.0.0.1]", "169.254.169.254",
     "[fd00:ec2::254]", "100.64.0.1", "localhost", "LOCALHOST", "x.localhost", "localhost.", "example.com.",
     "127.0.0.1.", "\u24d4xample.com", "ex\u00e4mple.com", "user@example.com", "user:pass@example.com",
     "example.com@127.0.0.1", "example.com\\@x", "exa mple.com", "example.com:0", "example.com:65536",
     "example.com:", "example.com:80:80", "example.com:-1", "example.com:8o", "%6cocalhost", "", ".example.com",
     "a..b", "-a.com", "a-.com", "a" * 64 + ".com", "exam\tple.com", "example.com\r\n"],
)  # fmt: skip
def test_odd_hosts_are_refused(host: str) -> None:
    """Whatever leads inside, or could be bent into something else, is refused."""
    assert code_of(f"http://{host}/") == "HTTP_TARGET_FORBIDDEN"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://example.com", Target("http", "example.com", 80, "/")),
        ("HTTPS://Example.COM/A?b=c", Target("https", "example.com", 443, "/A?b=c")),
        ("https://example.com:8443?x", Target("https", "example.com", 8443, "/?x")),
        ("http://8.8.8.8:80/", Target("http", "8.8.8.8", 80, "/")),
        ("http://[2606:4700:4700::1111]:81/", Target("http", "2606:4700:4700::1111", 81, "/")),
        ("https://xn--bcher-kva.example/%C3%A4", Target("https", "xn--bcher-kva.example", 443, "/%C3%A4")),
        ("https://a_b.example/", Target("https", "a_b.example", 443, "/")),
    ],
)
def test_plain_urls_are_read(url: str, target: Target) -> None:
    """What is clear is taken."""
    assert target == read_target(url)
    assert code_of(url) is None


@pytest.mark.parametrize(
    "rest", ["/a/../b", "/..", "/.", "/%2e%2E/x", "/a b", "/%", "/%zz", "/\\x", "/a{b}", "/<", "/\u00e4"]
)
def test_odd_paths_are_refused(rest: str) -> None:
    """A path leads where it says."""
    assert code_of(f"http://example.com{rest}") == "HTTP_TARGET_FORBIDDEN"


def test_a_long_url_is_refused() -> None:
    """There is an end to it."""
    assert code_of("http://example.com/" + "a" * 8000) == "HTTP_TARGET_FORBIDDEN"


@pytest.mark.parametrize(
    ("entry", "url", "addresses"),
    [
        ("localhost", "http://localhost:81/", ["127.0.0.1"]),
        ("localhost:81", "http://localhost:81/", ["127.0.0.1"]),
        ("DB.internal", "http://db.internal/", ["10.0.0.5"]),
        ("10.0.0.0/8", "http://db.internal/", ["10.0.0.5", "::ffff:10.0.0.6"]),
        ("10.0.0.5", "http://db.internal/", ["10.0.0.5"]),
        ("10.0.0.5:80", "http://10.0.0.5/", []),
        ("fd00::/8", "http://[fd00::1]/", []),
        ("fd00::1", "http://[fd00::1]/", []),
        ("[fd00::1]:80", "http://[fd00::1]/", []),
    ],
)
def test_what_is_allowed(entry: str, url: str, addresses: list[str]) -> None:
    """A host, a host with its port, or a network that has all addresses."""
    AllowedTargets([entry]).check(read_target(url), map(ip_address, addresses))


@pytest.mark.parametrize(
    ("entry", "url", "addresses"),
    [
        ("localhost:81", "http://localhost/", ["127.0.0.1"]),
        ("internal", "http://db.internal/", ["10.0.0.5"]),
        ("10.0.0.0/8", "http://db.internal/", ["10.0.0.5", "127.0.0.1"]),
        ("10.0.0.0/8", "http://localhost/", ["10.0.0.5"]),
        ("10.0.0.5:81", "http://db.internal/", ["10.0.0.5"]),
        ("8.8.8.8", "http://db.internal/", ["8.8.8.8", "10.0.0.1"]),
    ],
)
def test_what_is_not_allowed(entry: str, url: str, addresses: list[str]) -> None:
    """One address that is not covered is enough to refuse."""
    with pytest.raises(TargetError):
        AllowedTargets([entry]).check(read_target(url), map(ip_address, addresses))


@pytest.mark.parametrize(
    "entry", ["", "a b", "10.0.0.1/8", "http://x", "x/y", "2130706433", "h:0", "h:99999", "*.internal"]
)
def test_entries_that_are_none(entry: str) -> None:
    """An entry that could be read in two ways is none."""
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        AllowedTargets([entry])
