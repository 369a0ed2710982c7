"""Bytes that are hardly HTTP: cut off, doubled, smuggled, or something else altogether.

What is drawn goes over a connection of its own.
"""

from __future__ import annotations

from random import Random

LIST = b"/api/schedulers/shop/notes/jobs?limit=1"
JOBS = b"/api/schedulers/shop/notes/jobs"
BODY = b'{"when":"2035-01-01T00:00:00Z"}'
_HOST = b"Host: localhost\r\n"
_JSON = b"Content-Type: application/json\r\n"


def _get(*lines: bytes, target: bytes = LIST, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return b"%s %s %s\r\n%s%s\r\n" % (method, target, version, _HOST, b"".join(line + b"\r\n" for line in lines))


def _post(*lines: bytes, body: bytes = BODY) -> bytes:
    return b"POST %s HTTP/1.1\r\n%s%s%s\r\n%s" % (JOBS, _HOST, _JSON, b"".join(line + b"\r\n" for line in lines), body)


_CHUNKED = b"Transfer-Encoding: chunked"
_LENGTH = b"Content-Length: %d" % len(BODY)
GOOD = (
    _get(),
    _get(b"Connection: close"),
    _post(_LENGTH),
    _post(_CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
    _post(_LENGTH, b"Expect: 100-continue"),
    _get(target=b"/livez") + _get(b"Connection: close"),
)
ODD = (
    b"",
    b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /livez\r\n\r\n",
    b"\x00" * 64,
    b"A" * 20_000,
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /livez HTTP/1.0\r\n\r\n",
    b"GET  /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    _get(version=b"HTTP/1.2"),
    _get(version=b"HTTP/9.9"),
    _get(version=b"http/1.1"),
    _get(version=b"HTTP/1.1 x"),
    _get(method=b"get"),
    _get(method=b"BREW"),
    _get(method=b"G\x00T"),
    _get(target=b"livez"),
    _get(target=b"/" + b"a" * 70_000),
    _get(target=b"/\x00"),
    _get(target=b"/\xff"),
    _get(target=b"/%"),
    _get(target=b"?" + b"a=b&" * 5000),
    _get(b"X: " + b"y" * 70_000),
    _get(*(b"X-%d: y" % number for number in range(500))),
    _get(b"No colon"),
    _get(b": no name"),
    _get(b"Bad Name: x"),
    _get(b"Bad\x00Name: x"),
    _get(b"X: a\x00b"),
    _get(b"X: a\x7fb"),
    _get(b"X: a\rb"),
    _get(b"X: a\nY: b"),
    _get(b"X: a", b" folded"),
    _get(b"Content-Length: 5"),
    _get(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Version: 13"),
    _get(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings"),
    _get().replace(b"\r\n", b"\n"),
    _post(_LENGTH, _CHUNKED),
    _post(_CHUNKED, _LENGTH, body=b"0\r\n\r\n" + _get()),
    _post(_CHUNKED, _CHUNKED, body=b"0\r\n\r\n"),
    _post(b"Transfer-Encoding: xchunked"),
    _post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    _post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    _post(b"Content-Length: +5"),
    _post(b"Content-Length: -1"),
    _post(b"Content-Length: 0x5"),
    _post(b"Content-Length: 5,5"),
    _post(b"Content-Length: 5", b"Content-Length: 6"),
    _post(_LENGTH, _LENGTH),
    _post(b"Content-Length: 99999999999999999999999"),
    _post(b"Content-Length: 999999999"),
    _post(b"Content-Length: 999999999", b"Expect: 100-continue", body=b""),
    _post(_LENGTH, b"Expect: magic"),
    _post(b"Content-Length: 100"),
    _post(_CHUNKED, body=b"0x5\r\nhello\r\n0\r\n\r\n"),
    _post(_CHUNKED, body=b"5;\nhello\r\n0\r\n\r\n"),
    _post(_CHUNKED, body=b"5\nhello\n0\n\n"),
    _post(_CHUNKED, body=b"fffffffffffffffff\r\nx"),
    _post(_CHUNKED, body=b"-1\r\nx\r\n0\r\n\r\n"),
    _post(_CHUNKED, body=b"5\r\nhello"),
    _post(_CHUNKED, body=b"5\r\nhelloworld\r\n0\r\n\r\n"),
    _post(_CHUNKED, body=b"1;" + b"a" * 70_000 + b"\r\nx\r\n0\r\n\r\n"),
    _post(_CHUNKED, body=b"0\r\nX: y\r\n" * 50 + b"\r\n"),
    _post(),
    _post(_LENGTH, body=BODY + b"garbage\r\n\r\n"),
    _get() + b"\xff\xfe\x00garbage\r\n\r\n",
    _get() * 10,
    _post(_LENGTH) * 5 + b"X",
)


def bytes_of(random: Random) -> bytes:
    """Draw what goes over one connection: something odd, a good request with odd bytes in it, or parts of several."""
    match random.randrange(4):
        case 0:
            return random.choice(ODD)
        case 1:
            data = random.choice(GOOD)
            return data[: random.randrange(len(data) + 1)]
        case 2:
            bent = bytearray(random.choice(GOOD))
            for _ in range(random.randint(1, 4)):
                place = random.randrange(len(bent))
                bent[place : place + random.randrange(3)] = random.choice(_BITS)
            return bytes(bent)
        case _:
            return b"".join(random.choice(GOOD if random.random() < 0.7 else ODD) for _ in range(random.randint(2, 5)))


_BITS = (
    b"",
    b"\x00",
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b"\xff",
    b"A",
    b"0",
    b"%",
    b"\x1b",
    b"GET / HTTP/1.1\r\n",
)
