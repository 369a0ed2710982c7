"""What every answer tells a browser: which page may use it, what it may load, and that it is not kept."""

from __future__ import annotations

Headers = list[tuple[bytes, bytes]]

PAGES = "/docs"
"""Below this path are a page of ours and what it loads; everything else is data."""


def _headers(policy: str, cache: str) -> Headers:
    headers = {
        "content-security-policy": f"default-src 'none'; {policy}base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        # Not no-referrer: a form of our own page would then come with `Origin: null`.
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": cache,
    }
    return [(name.encode(), value.encode()) for name, value in headers.items()]


DATA = _headers("", "no-store")
# A browser asks each time whether a file has changed, or it would mix the files of two releases.
PAGE = _headers(
    "script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; ", "no-cache"
)


def security_headers(path: str) -> Headers:
    """Return the headers of an answer to a request for that path, good or bad."""
    return PAGE if path.startswith(PAGES) else DATA
