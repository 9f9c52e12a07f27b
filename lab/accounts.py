# SPDX-License-Identifier: BSD-2-Clause
"""The accounts of a Windows as its registry has them, for test images: the keys, the users, and their passwords.

The layout is that of Windows 7 (form RC4) and of Windows 10 since version 1607 (form AES).
"""

from __future__ import annotations

import struct
from enum import IntEnum

from Cryptodome.Cipher import AES, ARC4, DES
from Cryptodome.Hash import MD4, MD5, SHA256
from Cryptodome.Util.Padding import pad

# Names of the keys in which the boot key is hidden, and the classes that hide it.
BOOT_PARTS = {"JD": "d8a91f04", "Skew1": "7c30be52", "GBG": "e16b9a08", "Data": "4f25c7d3"}

_ORDER = (8, 5, 4, 2, 11, 9, 13, 3, 0, 6, 1, 12, 14, 10, 15, 7)
_KEY = bytes(range(0x30, 0x40))
_SALT = bytes(range(0xA0, 0xB0))
_QWERTY = b"!@#$%^&*()qwertyUIOPAzxcvbnmQQQQQQQQQQQQ)(*@&%\0"
_DIGITS = b"0123456789012345678901234567890123456789\0"
_SET = 0x01D5_47E1_0000_0000  # in 2019

NORMAL, DISABLED, NO_PASSWORD_NEEDED, LOCKED, NEVER_EXPIRES = 0x10, 0x1, 0x4, 0x400, 0x200


class Form(IntEnum):
    """How hashes are encrypted."""

    RC4 = 1
    AES = 2


def domain(form: Form) -> bytes:
    """The value F of the accounts' domain."""
    raw = "".join(BOOT_PARTS.values())
    boot = bytes(bytes.fromhex(raw)[place] for place in _ORDER)
    if form is Form.RC4:
        plain = _KEY + MD5.new(_KEY + _DIGITS + _KEY + _QWERTY).digest()
        hidden = ARC4.new(MD5.new(_SALT + _QWERTY + boot + _DIGITS).digest()).encrypt(plain)
        key = struct.pack("<II16s32sQ", form, 0x38, _SALT, hidden, 0)
    else:
        parts = [_aes(boot, each) for each in (_KEY, SHA256.new(_KEY).digest())]
        key = struct.pack("<4I16s", form, 0x70, len(parts[1]), len(parts[0]), _SALT) + b"".join(parts)
    head = struct.pack("<HHI", 3 if form is Form.AES else 2, 1, 0) + bytes(64) + struct.pack("<II", 1002, 0)
    return (head.ljust(0x58, b"\0") + struct.pack("<IHHQ", 1, 3, 1, 0) + key).ljust(0xF0, b"\0")


def user_secrets(form: Form, name: str, number: int, password: str | None, old: str | None = None) -> bytes:
    """The value V of the user *number*. *old* is hashed where the hash of the older kind is."""
    things = [
        b"\x01\x00\x14\x80".ljust(0xF4, b"\0"),
        name.encode("utf-16-le"),
        *[b""] * 10,
        struct.pack("<II", 0x102, 7),
    ]
    things += [_hash(form, number, old, b"LMPASSWORD\0"), _hash(form, number, password, b"NTPASSWORD\0")]
    things += [_hash(form, number, None, b"")] * 2
    table, content = b"", b""
    for thing in things:
        table += struct.pack("<III", len(content), len(thing), 0)
        content += thing.ljust(-(-len(thing) // 4) * 4, b"\0")
    return table + content


def user_login(number: int, flags: int) -> bytes:
    """The value F of the user *number*, who mistyped the password three times."""
    head = struct.pack("<QQQQQQ", 2, _SET, 0, _SET, _SET, _SET)
    return (head + struct.pack("<IIIHHHH", number, 513, flags, 0, 0, 3, 9)).ljust(80, b"\0")


def _hash(form: Form, number: int, password: str | None, constant: bytes) -> bytes:
    """An entry for the hash of *password*; None is no password."""
    if form is Form.RC4:
        header = struct.pack("<HH", 1, form)
        if password is None:
            return header
        once = MD5.new(_KEY + struct.pack("<I", number) + constant).digest()
        return header + ARC4.new(once).encrypt(_by_number(number, password))
    if password is None:
        return struct.pack("<HHI16s", 2, form, 0, _SALT)
    return struct.pack("<HHI16s", 2, form, 16, _SALT) + _aes(_KEY, _by_number(number, password))


def _by_number(number: int, password: str) -> bytes:
    """The hash of *password*, its halves encrypted with the number of the account."""
    digest = MD4.new(password.encode("utf-16-le")).digest()
    raw = struct.pack("<I", number)
    keys = (raw + raw[:3], raw[3:] + raw[:3] + raw[3:] + raw[:2])
    return b"".join(
        DES.new(_with_parity(key), DES.MODE_ECB).encrypt(digest[8 * part : 8 * part + 8])
        for part, key in enumerate(keys)
    )


def _with_parity(key: bytes) -> bytes:
    bits = "".join(f"{byte:08b}" for byte in key)
    return bytes(int(bits[at : at + 7] + "0", 2) for at in range(0, 56, 7))


def _aes(key: bytes, plain: bytes) -> bytes:
    return AES.new(key, AES.MODE_CBC, _SALT).encrypt(pad(plain, 16))
