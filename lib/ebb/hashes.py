"""Short names for what is made from other things: the same bytes have the same name anywhere."""

from __future__ import annotations

import hashlib


def short_hash(raw: bytes) -> str:
    """The first 16 hexadecimal digits of SHA-256: 64 bits tell a billion things apart."""
    return hashlib.sha256(raw).hexdigest()[:16]
