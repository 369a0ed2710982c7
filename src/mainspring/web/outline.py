"""The outline of a batch: how many members and how deep, seen while its bytes arrive.

An object in memory takes up to a hundred times as much as the two bytes that it may be written in, so a batch that is
too large has to be known before it is parsed.
"""

from __future__ import annotations

from mainspring.web.problem import HttpError

DEPTH_LIMIT = 32
BATCH_JOBS = 100_000
BATCH_MEMBERS = 1_000_000


class Outline:
    """What is known of a batch: an array of objects, or one a line."""

    def __init__(self, *, lines: bool) -> None:
        self._separators = (b",", b"\n") if lines else (b",",)
        self.members = 0
        """How many members and elements there can be so far, in all: each is behind a bracket, a comma or a line."""
        self._depth = 0
        self._in_text = False
        self._escape = b""

    def read(self, piece: bytes) -> None:
        """Look at the next bytes: at 10 MB of small jobs for 60 ms. Raises `HttpError` as soon as there is too much."""
        outside = self._outside(piece)
        opened = outside.count(b"{") + outside.count(b"[")
        self.members += opened + sum(map(outside.count, self._separators))
        self._depth += opened - outside.count(b"}") - outside.count(b"]")
        if self.members > BATCH_MEMBERS:
            detail = f"the jobs of a batch have at most {BATCH_MEMBERS} members and elements in all"
            raise HttpError(413, "BATCH_TOO_LARGE", detail)
        if self._depth > DEPTH_LIMIT + 1:
            raise HttpError(400, "JSON_TOO_DEEP", f"a job of the batch nests deeper than {DEPTH_LIMIT} levels")

    def _outside(self, piece: bytes) -> bytes:
        """Return what is outside of strings."""
        piece = self._escape + piece
        self._escape = b""
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"")
            if piece.endswith(b"\\"):
                piece, self._escape = piece[:-1], b"\\"
            piece = piece.replace(b'\\"', b"")
        parts = piece.split(b'"')
        outside = b"".join(parts[self._in_text :: 2])
        self._in_text ^= len(parts) % 2 == 0
        return outside
