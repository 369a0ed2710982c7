"""The outline of a batch: how many objects, how many members and how deep, seen while its bytes arrive.

An object in memory takes up to a hundred times as much as the two bytes that it may be written in, so a batch that is
too large has to be known before it is parsed.
"""

from __future__ import annotations

from mainspring.web.problem import HttpError

DEPTH_LIMIT = 32
BATCH_JOBS = 100_000
BATCH_MEMBERS = 1_000_000

_OPEN, _COMMA, _LINE = b"[{", ord(","), ord("\n")
_ARRAY_MARKS, _LINE_MARKS = b"[]{},", b"[]{},\n"


def _all_but(marks: bytes) -> bytes:
    return bytes(byte for byte in range(256) if byte not in marks)


class Outline:
    """What is known of the objects of a batch: those of an array, or one a line."""

    def __init__(self, *, lines: bool) -> None:
        self.members = 0
        """How many members and elements there can be so far, in all: each is behind a bracket, a comma or a line."""
        self._jobs = 0
        self._top = 0 if lines else 1
        self._depth = 0
        self._in_text = False
        self._escape = b""
        self._others = _all_but(_LINE_MARKS if lines else _ARRAY_MARKS)

    def read(self, piece: bytes) -> None:
        """Look at the next bytes: 10 MB of small jobs take 40 ms. Raises `HttpError` as soon as there is too much."""
        jobs, depth, members = self._jobs, self._depth, self.members
        for mark in self._outside(piece).translate(None, self._others):
            if mark in _OPEN:
                members += 1
                jobs += depth == self._top
                depth += 1
                if depth - self._top > DEPTH_LIMIT:
                    detail = f"a job of the batch nests deeper than {DEPTH_LIMIT} levels"
                    raise HttpError(400, "JSON_TOO_DEEP", detail)
            elif mark in (_COMMA, _LINE):
                members += 1
            else:
                depth -= 1
        self._jobs, self._depth, self.members = jobs, depth, members
        if jobs > BATCH_JOBS:
            raise HttpError(413, "BATCH_TOO_LARGE", f"a batch has at most {BATCH_JOBS} jobs")
        if members > BATCH_MEMBERS:
            detail = f"the jobs of a batch have at most {BATCH_MEMBERS} members and elements in all"
            raise HttpError(413, "BATCH_TOO_LARGE", detail)

    def _outside(self, piece: bytes) -> bytes:
        """Return what is outside of strings."""
        piece = self._escape + piece
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"")
            self._escape = b"\\" if piece.endswith(b"\\") else b""
            piece = piece.removesuffix(b"\\").replace(b'\\"', b"")
        else:
            self._escape = b""
        parts = piece.split(b'"')
        outside = b"".join(parts[self._in_text :: 2])
        self._in_text ^= len(parts) % 2 == 0
        return outside
