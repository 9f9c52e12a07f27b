# SPDX-License-Identifier: BSD-2-Clause
"""What Windows keeps of a user: the values V, where the hash of the password is, and F, whether it is good for a login.

Not described by its maker either: see :mod:`snf_image_helper.windows.account_key`. All here only computes.
"""

from __future__ import annotations

import struct

from snf_image_helper.task import TaskError
from snf_image_helper.windows import ciphers
from snf_image_helper.windows.account_key import AES, RC4

# V is a table of where things are, how long they are, and a third number; and then the things.
_ENTRY = 12
_ENTRIES = 17
_THINGS = _ENTRY * _ENTRIES
_LM, _NT = 13, 14  # the two hashes of the password: the first is of long ago
_HEADER = {RC4: struct.Struct("<HH"), AES: struct.Struct("<HHI16s")}
_CONSTANT = b"NTPASSWORD\0"

# F: when the password was set, and until when the account is good, in units of 100 ns; who it is; what it may.
_SET_AT, _EXPIRES_AT, _NUMBER_AT, _FLAGS_AT, _FAILED_AT = 0x18, 0x20, 0x30, 0x38, 0x40
_F_SIZE = 0x44
_NEVER = 0x7FFFFFFFFFFFFFFF
# MS-SAMR 2.2.1.12: USER_ACCOUNT_DISABLED, USER_PASSWORD_NOT_REQUIRED, USER_ACCOUNT_AUTO_LOCKED
_HINDRANCES = 0x0001 | 0x0004 | 0x0400
_EPOCH_S = 11_644_473_600  # from 1601, when Windows begins to count, to 1970


def nt_hash(password: str) -> bytes:
    """What Windows compares a password by."""
    return ciphers.md4(password.encode("utf-16-le", "surrogatepass"))


def with_hash(record: bytes, number: int, form: int, key: bytes, new: bytes, salt: bytes) -> bytes:
    """The value V with *new* as the hash of the password, and none of the older kind. Nothing else of it changes.

    *number* is that of the account, *form* the one in which *key* was kept; *salt* is random. Raises TaskError.
    """
    if len(record) < _THINGS:
        raise _damaged("V", number, "is too short")
    hidden = b"".join(ciphers.des(_key(number, part), new[8 * part : 8 * part + 8]) for part in (0, 1))
    generation = _generation(record, number, form)
    if form == AES:
        entry = _HEADER[AES].pack(generation, AES, len(salt), salt) + ciphers.aes_encrypted(key, salt, hidden)
    else:
        once = ciphers.md5(key + struct.pack("<I", number) + _CONSTANT)
        entry = _HEADER[RC4].pack(generation, RC4) + ciphers.rc4(once, hidden)
    return _replaced(_without_old_hash(record, number), number, _NT, entry)


def with_login(record: bytes, number: int, now_s: float) -> bytes:
    """The value F of an account whose password was set just now: enabled, not locked, and good for ever."""
    if len(record) < _F_SIZE:
        raise _damaged("F", number, "is too short")
    changed = bytearray(record)
    if struct.unpack_from("<I", record, _NUMBER_AT)[0] != number:
        raise _damaged("F", number, "is that of another account")
    struct.pack_into("<QQ", changed, _SET_AT, int((now_s + _EPOCH_S) * 10_000_000), _NEVER)
    flags = struct.unpack_from("<H", record, _FLAGS_AT)[0]
    struct.pack_into("<H", changed, _FLAGS_AT, flags & ~_HINDRANCES)
    struct.pack_into("<H", changed, _FAILED_AT, 0)
    return bytes(changed)


def _key(number: int, part: int) -> bytes:
    """Of the two keys made from the number of the account, the one for the first or the second half of a hash."""
    raw = struct.pack("<I", number)
    return (raw * 2)[:7] if part == 0 else (raw[3:] + raw * 2)[:7]


def _generation(record: bytes, number: int, form: int) -> int:
    """The number of the key that the hash was encrypted with."""
    old = _thing(record, number, _NT)
    if not old:
        return form
    if len(old) < 4:
        raise _damaged("V", number, "has half a password")
    generation, kept = struct.unpack_from("<HH", old)
    if kept not in (RC4, AES):
        raise _damaged("V", number, f"has a password of the form {kept}, which is not known here")
    return int(generation)


def _without_old_hash(record: bytes, number: int) -> bytes:
    """*record* without a hash of the older kind: it would still be that of the password before."""
    old = _thing(record, number, _LM)
    form = struct.unpack_from("<H", old, 2)[0] if len(old) >= 4 else 0
    if form not in _HEADER or len(old) <= _HEADER[form].size:
        return record
    header = bytearray(old[: _HEADER[form].size])
    if form == AES:
        struct.pack_into("<I", header, 4, 0)
    return _replaced(record, number, _LM, bytes(header))


def _thing(record: bytes, number: int, index: int) -> bytes:
    """What the entry *index* of the table stands for."""
    begin, size = struct.unpack_from("<II", record, index * _ENTRY)
    if begin + size > len(record) - _THINGS:
        raise _damaged("V", number, "is shorter than it says")
    return record[_THINGS + begin : _THINGS + begin + size]


def _replaced(record: bytes, number: int, index: int, new: bytes) -> bytes:
    """*record* with *new* for the entry *index*; what stands behind it moves."""
    old = _thing(record, number, index)
    begin = struct.unpack_from("<I", record, index * _ENTRY)[0]
    moved = len(new) - len(old)
    table = bytearray(record[:_THINGS])
    for other in range(_ENTRIES):
        place = struct.unpack_from("<I", table, other * _ENTRY)[0]
        if place > begin or (place == begin and other > index):
            if not 0 <= place + moved <= 0xFFFFFFFF:
                raise _damaged("V", number, "is shorter than it says")
            struct.pack_into("<I", table, other * _ENTRY, place + moved)
    struct.pack_into("<I", table, index * _ENTRY + 4, len(new))
    things = record[_THINGS:]
    return bytes(table) + things[:begin] + new + things[begin + len(old) :]


def _damaged(value: str, number: int, why: str) -> TaskError:
    return TaskError(f"the guest's accounts database is damaged: the value {value} of user {number:08X} {why}")
