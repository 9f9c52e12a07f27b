# SPDX-License-Identifier: BSD-2-Clause
"""The ciphers and hashes by which Windows keeps passwords, from OpenSSL's library, which ssh-keygen(1) brings along.

Its older functions are called, see DES_crypt(3ssl) and RC4(3ssl): the newer ones find most of these in a module apart.
"""

from __future__ import annotations

import ctypes

_library = ctypes.CDLL("libcrypto.so.3")

BLOCK = 16
_DES_BLOCK = 8
# Larger than what any of the functions expands a key to.
_SCHEDULE = 4096
_ENCRYPT, _DECRYPT = 1, 0


def md4(data: bytes) -> bytes:
    """The MD4 of *data* (RFC 1320)."""
    return _hashed(_library.MD4, data)


def md5(data: bytes) -> bytes:
    """The MD5 of *data* (RFC 1321)."""
    return _hashed(_library.MD5, data)


def sha256(data: bytes) -> bytes:
    """The SHA-256 of *data* (FIPS 180-4)."""
    return _hashed(_library.SHA256, data, 32)


def rc4(key: bytes, data: bytes) -> bytes:
    """*data* encrypted, or decrypted, with RC4."""
    schedule, out = _buffers(len(data))
    _library.RC4_set_key(schedule, ctypes.c_int(len(key)), key)
    _library.RC4(schedule, ctypes.c_size_t(len(data)), data, out)
    return out.raw


def des(key: bytes, block: bytes) -> bytes:
    """A *block* of 8 bytes encrypted with DES; *key* is without the bits of parity, and so has 7 bytes."""
    bits = int.from_bytes(key, "big")
    spread = bytes((bits >> shift & 0x7F) << 1 for shift in range(49, -1, -7))
    schedule, out = _buffers(_DES_BLOCK)
    _library.DES_set_key_unchecked(spread, schedule)
    _library.DES_ecb_encrypt(block, out, schedule, ctypes.c_int(_ENCRYPT))
    return out.raw


def aes_encrypted(key: bytes, vector: bytes, data: bytes) -> bytes:
    """*data*, padded (RFC 5652, 6.3), encrypted with AES in CBC mode."""
    pad = BLOCK - len(data) % BLOCK
    return _aes(_library.AES_set_encrypt_key, _ENCRYPT, key, vector, data + bytes([pad]) * pad)


def aes_decrypted(key: bytes, vector: bytes, data: bytes) -> bytes:
    """The reverse, with whatever stands where the padding should be. *data* is made of whole blocks."""
    return _aes(_library.AES_set_decrypt_key, _DECRYPT, key, vector, data)


def _aes(set_key: ctypes._NamedFuncPointer, way: int, key: bytes, vector: bytes, data: bytes) -> bytes:
    schedule, out = _buffers(len(data))
    set_key(key, ctypes.c_int(len(key) * 8), schedule)
    # The vector is written to.
    chained = ctypes.create_string_buffer(vector, len(vector))
    _library.AES_cbc_encrypt(data, out, ctypes.c_size_t(len(data)), schedule, chained, ctypes.c_int(way))
    return out.raw


def _hashed(function: ctypes._NamedFuncPointer, data: bytes, size: int = 16) -> bytes:
    _, out = _buffers(size)
    function(data, ctypes.c_size_t(len(data)), out)
    return out.raw


def _buffers(size: int) -> tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]:
    """For an expanded key, and for a result of *size* bytes."""
    return ctypes.create_string_buffer(_SCHEDULE), ctypes.create_string_buffer(size)
