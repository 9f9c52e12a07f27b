# SPDX-License-Identifier: BSD-2-Clause
"""Passwords of a Linux guest: made with crypt(3), kept in shadow(5)."""

from __future__ import annotations

import re
from collections.abc import Collection

from snf_image_helper.job import Job
from snf_image_helper.root import Root
from snf_image_helper.task import TaskError
from snf_image_helper.users import PASSWD

SHADOW = "/etc/shadow"
METHOD = "PASSWD_HASHING_METHOD"
# The prefixes of crypt(5). What is left out is too weak to keep a password.
PREFIXES = {"sha512": "$6$", "sha256": "$5$", "yescrypt": "$y$"}
NONE = "none"

_HASH = re.compile(r"\$[0-9a-z]{1,8}\$[!-9;-~]+", re.ASCII)
_FIELDS = 9


def wanted_hash(job: Job) -> str:
    """The hash to be set, made with a new salt from the password if need be; empty when no password is asked for."""
    if job.password_hash:
        return checked(job.password_hash)
    if not job.password:
        return ""
    method = job.properties.get(METHOD, "").strip().lower() or "sha512"
    if method == NONE:
        return checked(job.password)
    if method not in PREFIXES:
        raise TaskError(f"{METHOD}={method}: write one of {', '.join(PREFIXES)}, {NONE}")
    return hashed(job.password, method)


def checked(text: str) -> str:
    """*text* if it is a hash; the reason never shows it."""
    if _HASH.fullmatch(text) is None:
        raise TaskError("the hash of the password is none: write it as crypt(5) has it, like $6$salt$hash")
    return text


def hashed(password: str, method: str) -> str:
    """The hash of *password* with a new random salt, by one of the methods in :data:`PREFIXES`."""
    import ctypes  # most guests get a hash that was made elsewhere

    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = library.crypt_gensalt.restype = ctypes.c_char_p
    library.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.crypt_gensalt.argtypes = [ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int]
    if "\0" in password:
        raise TaskError("the password has a zero byte in it")
    prefix = PREFIXES[method]
    # No random bytes given: the library takes them from the kernel.
    setting = library.crypt_gensalt(prefix.encode(), 0, None, 0)
    result: bytes | None = library.crypt(password.encode(), setting) if setting else None
    # crypt(3) tells a failure by a text that is no hash: "*0".
    if result is None or not result.startswith(prefix.encode()):
        raise TaskError(f"libcrypt makes no {method} hash of this password: it may have 512 bytes at most")
    return result.decode()


def set_hash(root: Root, names: Collection[str], new: str) -> None:
    """Make *new* the hash of the users *names*. Their other fields, and all other lines, stay as they are."""
    try:
        text = root.read_text(SHADOW)
    except FileNotFoundError:
        raise TaskError(f"the image has no {SHADOW} to keep a password in") from None
    changed = with_hash(text, names, new)
    if changed != text:
        root.write_text(SHADOW, changed)
    passwd = root.read_text(PASSWD)
    shadowed = with_shadow(passwd, names)
    if shadowed != passwd:
        root.write_text(PASSWD, shadowed)


def with_hash(text: str, names: Collection[str], new: str) -> str:
    """The shadow file with *new* for each of *names*; an entry that is missing is added without limits of age."""
    lines, missing = [], list(names)
    for line in text.split("\n"):
        fields = line.split(":")
        if len(fields) > 1 and fields[0] in names:
            fields[1] = new
            if fields[0] in missing:
                missing.remove(fields[0])
        lines.append(":".join(fields))
    added = [f"{name}:{new}".ljust(len(name) + len(new) + _FIELDS - 1, ":") for name in missing]
    if added:
        lines = [*(lines[:-1] if lines[-1] == "" else lines), *added, ""]
    return "\n".join(lines)


def with_shadow(text: str, names: Collection[str]) -> str:
    """The passwd file with *names* looked up in the shadow file: anything but "x" there would count instead of it."""
    lines = [line.split(":") for line in text.split("\n")]
    for fields in lines:
        if len(fields) > 1 and fields[0] in names:
            fields[1] = "x"
    return "\n".join(":".join(fields) for fields in lines)
