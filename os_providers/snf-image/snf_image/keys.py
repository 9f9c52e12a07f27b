# SPDX-License-Identifier: BSD-2-Clause
"""The parameter ``auth_keys``: SSH public keys, a line each, as in the file authorized_keys. See sshd(8)."""

from __future__ import annotations

import base64
import binascii
import re

_TYPE = re.compile(r"(sk-)?(ssh-(rsa|dss|ed25519)|ecdsa-sha2-nistp(256|384|521))(@openssh\.com)?")
_MOST = 200


def parse(text: str) -> tuple[str, ...]:
    """The keys in *text*; blank lines and comments are none. Raises ValueError that names a line by its number."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        key = line.strip()
        if not key or key.startswith("#"):
            continue
        if not key.isprintable() or not _is_key(key):
            raise ValueError(f"line {number} is not an SSH public key (TYPE BASE64 COMMENT)")
        found.append(key)
    if len(found) > _MOST:
        raise ValueError(f"there are more than {_MOST} keys")
    return tuple(found)


def _is_key(line: str) -> bool:
    """Whether a type is followed by a key that says to be of it; options may stand before. RFC 4253, 6.6."""
    words = line.split()
    for kind, encoded in zip(words, words[1:], strict=False):
        if _TYPE.fullmatch(kind):
            try:
                blob = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                return False
            begin = len(kind).to_bytes(4, "big") + kind.encode()
            return blob.startswith(begin) and len(blob) > len(begin) + 4
    return False
