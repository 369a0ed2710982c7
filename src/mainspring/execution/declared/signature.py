"""Signs calls as Standard Webhooks says, so that a receiver knows who calls, and that a call is not played back."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable


def signature(keys: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``: one signature for each key, with spaces between them.

    `timestamp` is in seconds since 1970.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{b64encode(digest).decode()}" for digest in digests)
