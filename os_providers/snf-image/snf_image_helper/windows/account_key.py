# SPDX-License-Identifier: BSD-2-Clause
"""The key under which a Windows guest keeps the hashes of its users' passwords.

Its maker describes none of it. That is how programs for forensics have read it since Windows 2000: a boot key is hidden
in the registry of the system, and opens the key in the database of accounts; by RC4 up to the first Windows 10, by AES
since version 1607.
"""

from __future__ import annotations

import re
import struct

from snf_image_helper.task import TaskError
from snf_image_helper.windows import ciphers
from snf_image_helper.windows.hive import Hive

SIZE = 16
# The forms in which key and hashes are kept.
RC4, AES = 1, 2

DOMAIN = r"SAM\Domains\Account"

_PARTS = ("JD", "Skew1", "GBG", "Data")
_ORDER = (8, 5, 4, 2, 11, 9, 13, 3, 0, 6, 1, 12, 14, 10, 15, 7)
_IN_REGISTRY = 1  # where the boot key may be instead: in somebody's head (2), or on a floppy disk (3)

_KEY_AT = 0x68  # in the value F of the domain
_RC4_KEY = struct.Struct("<II16s32s")  # form, length, salt, key and checksum
_AES_KEY = struct.Struct("<IIII16s")  # form, length, length of the checksum, length of the key, salt
_AES_DATA = 32  # a key with its padding

_QWERTY = b"!@#$%^&*()qwertyUIOPAzxcvbnmQQQQQQQQQQQQ)(*@&%\0"
_DIGITS = b"0123456789012345678901234567890123456789\0"


def boot_key(system: Hive, control_set: str) -> bytes:
    """The boot key in the hive SYSTEM. Raises TaskError when it is not there."""
    path = rf"{control_set}\Control\Lsa"
    place = system.value(system.key(path), "SecureBoot")
    if place is not None and place.number != _IN_REGISTRY:
        raise TaskError("the guest asks for a password or a disk when it starts (SYSKEY): its users' are out of reach")
    scrambled = b"".join(_part(system, rf"{path}\{name}") for name in _PARTS)
    return bytes(scrambled[place] for place in _ORDER)


def _part(system: Hive, path: str) -> bytes:
    """A quarter of the boot key: the name of the class of the key *path*, in hexadecimal."""
    key = system.key(path)
    text = system.class_name(key) if key is not None else ""
    if re.fullmatch("[0-9A-Fa-f]{8}", text) is None:
        raise TaskError(rf"the guest's registry is damaged: the class of SYSTEM\{path} is no part of a key")
    return bytes.fromhex(text)


def opened(domain: bytes, boot: bytes) -> tuple[int, bytes]:
    """The form of the key in *domain*, the value F of the accounts' domain, and the key. Raises TaskError."""
    try:
        form = struct.unpack_from("<I", domain, _KEY_AT)[0]
        if form == RC4:
            return form, _opened_rc4(domain, boot)
        if form == AES:
            return form, _opened_aes(domain, boot)
    except struct.error as err:
        raise _damaged("is too short") from err
    raise _damaged(f"has a key of the form {form}, which is not known here")


def _opened_rc4(domain: bytes, boot: bytes) -> bytes:
    _, _, salt, hidden = _RC4_KEY.unpack_from(domain, _KEY_AT)
    plain = ciphers.rc4(ciphers.md5(salt + _QWERTY + boot + _DIGITS), hidden)
    key = plain[:SIZE]
    if ciphers.md5(key + _DIGITS + key + _QWERTY) != plain[SIZE:]:
        raise _damaged("has a key that the boot key does not open")
    return key


def _opened_aes(domain: bytes, boot: bytes) -> bytes:
    _, _, check_size, key_size, salt = _AES_KEY.unpack_from(domain, _KEY_AT)
    begin = _KEY_AT + _AES_KEY.size
    hidden, check = domain[begin : begin + key_size], domain[begin + key_size : begin + key_size + check_size]
    if len(hidden) != _AES_DATA or not check or len(check) != check_size or check_size % ciphers.BLOCK:
        raise _damaged("has a key of a length that cannot be")
    key = ciphers.aes_decrypted(boot, salt, hidden)[:SIZE]
    if ciphers.aes_decrypted(boot, salt, check)[:32] != ciphers.sha256(key):
        raise _damaged("has a key that the boot key does not open")
    return key


def _damaged(why: str) -> TaskError:
    return TaskError(rf"the guest's accounts database is damaged: the value F of {DOMAIN} {why}")
