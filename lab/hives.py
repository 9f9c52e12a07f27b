# SPDX-License-Identifier: BSD-2-Clause
"""Registry hives like those of Windows, for test images: small, and the same each time."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hivex

from lab import accounts
from lab.accounts import Form

SZ, BINARY, DWORD = 1, 3, 4

GENERALIZED = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"

_PAGE = 4096
_NONE = 0xFFFFFFFF
_TIME = 0x01D0000000000000
_ROOT_AT = 0x20  # of the first cell, behind the header of the bin
_NK, _SK = 0x80, 0x58

# Key by key, the values: name, type, data.
Content = Mapping[str, Sequence[tuple[str, int, bytes]]]


@dataclass(frozen=True, slots=True)
class Registry:
    """What a guest's registry says. *passwords* are those that users have, *old_passwords* what is kept besides."""

    state: str = GENERALIZED
    version: int = 10
    remote_desktop: bool = True
    users: tuple[tuple[str, int], ...] = (("Administrator", 500), ("Guest", 501), ("alice", 1001))
    architecture: str = "AMD64"
    language: str = "el-GR"
    answer_file: str = ""
    form: Form = Form.AES
    passwords: Mapping[str, str] = field(default_factory=dict)
    old_passwords: Mapping[str, str] = field(default_factory=dict)


def write_registry(folder: Path, registry: Registry) -> None:
    """Make the hives SYSTEM, SOFTWARE and SAM in *folder*."""
    for name, content in (("SYSTEM", _system(registry)), ("SOFTWARE", _software(registry)), ("SAM", _sam(registry))):
        write_hive(folder / name, content)
    for control_set in ("ControlSet001", "ControlSet002"):
        for part, name in accounts.BOOT_PARTS.items():
            set_class(folder / "SYSTEM", rf"{control_set}\Control\Lsa\{part}", name)


def write_hive(path: Path, content: Content) -> None:
    """Make the hive *path* with *content*."""
    path.write_bytes(_empty())
    hive = hivex.Hivex(str(path), write=True)
    for key, values in content.items():
        node = hive.root()
        for name in key.split("\\"):
            # The binding gives 0 for what is not there, and None in older versions.
            node = hive.node_get_child(node, name) or hive.node_add_child(node, name)
        if values:
            hive.node_set_values(node, [{"key": name, "t": kind, "value": data} for name, kind, data in values])
    hive.commit(None)


def set_class(path: Path, key: str, name: str) -> None:
    """Give the class of *key* in the hive *path* a name, which hivex cannot do: in a page of its own."""
    hive = hivex.Hivex(str(path))
    node = hive.root()
    for part in key.split("\\"):
        node = hive.node_get_child(node, part) or 0
    raw, content = bytearray(path.read_bytes()), name.encode("utf-16-le")
    place = struct.unpack_from("<I", raw, 40)[0]
    used = 8 + -(-len(content) // 8) * 8
    page = struct.pack("<4sII20x", b"hbin", place, _PAGE) + _cell(content, used)
    page += struct.pack("<i", _PAGE - 32 - used)
    del raw[_PAGE + place :]
    raw += page.ljust(_PAGE, b"\0")
    # A node is known by where its cell is in the file.
    struct.pack_into("<I", raw, node + 4 + 48, place + 32)
    struct.pack_into("<H", raw, node + 4 + 74, len(content))
    struct.pack_into("<I", raw, 40, place + _PAGE)
    struct.pack_into("<I", raw, 508, _checksum(raw[:508]))
    path.write_bytes(raw)


def text(value: str) -> bytes:
    return f"{value}\0".encode("utf-16-le")


def number(value: int) -> bytes:
    return struct.pack("<I", value)


def _system(registry: Registry) -> Content:
    deny = number(0 if registry.remote_desktop else 1)
    content: dict[str, Sequence[tuple[str, int, bytes]]] = {
        "Select": [("Current", DWORD, number(1)), ("Default", DWORD, number(1)), ("LastKnownGood", DWORD, number(2))],
        "Setup": [("CmdLine", SZ, text("")), ("UnattendFile", SZ, text(registry.answer_file))],
    }
    for control in (r"ControlSet001\Control", r"ControlSet002\Control"):
        content[rf"{control}\Terminal Server"] = [("AllowRemoteRPC", DWORD, number(1)), ("fDenyTSConnections", 4, deny)]
        content[rf"{control}\ComputerName\ComputerName"] = [("ComputerName", SZ, text("TEMPLATE"))]
        content[rf"{control}\Session Manager\Environment"] = [
            ("OS", SZ, text("Windows_NT")),
            ("PROCESSOR_ARCHITECTURE", SZ, text(registry.architecture)),
        ]
        content[rf"{control}\Lsa"] = [("SecureBoot", DWORD, number(1))]
        content |= {rf"{control}\Lsa\{part}": [] for part in accounts.BOOT_PARTS}
        content[rf"{control}\MUI\UILanguages\{registry.language}"] = []
    return content


def _software(registry: Registry) -> Content:
    now: list[tuple[str, int, bytes]] = [("ProductName", SZ, text("Windows Test"))]
    if registry.version >= 10:
        now += [("CurrentVersion", SZ, text("6.3")), ("CurrentMajorVersionNumber", DWORD, number(registry.version))]
    else:
        now += [("CurrentVersion", SZ, text(f"{registry.version}.1"))]
    return {
        r"Microsoft\Windows NT\CurrentVersion": now,
        r"Microsoft\Windows\CurrentVersion\Setup\State": [("ImageState", SZ, text(registry.state))],
    }


def _sam(registry: Registry) -> Content:
    domain = r"SAM\Domains\Account"
    content: dict[str, Sequence[tuple[str, int, bytes]]] = {
        domain: [("F", BINARY, accounts.domain(registry.form))],
        rf"{domain}\Users\Names": [],
    }
    for name, relative in registry.users:
        # The type of the unnamed value is the number of the account.
        content[rf"{domain}\Users\Names\{name}"] = [("", relative, b"")]
        given, old = registry.passwords.get(name), registry.old_passwords.get(name)
        # As Windows has the two that are built in when nobody asked for them.
        flags = accounts.NORMAL | (accounts.DISABLED | accounts.NO_PASSWORD_NEEDED if relative < 1000 else 0)
        content[rf"{domain}\Users\{relative:08X}"] = [
            ("F", BINARY, accounts.user_login(relative, flags)),
            ("V", BINARY, accounts.user_secrets(registry.form, name, relative, given, old)),
        ]
    return content


def _empty() -> bytes:
    """A hive of one page with a root key and nothing else: hivex extends hives, and makes none."""
    name = b"ROOT"
    security_at = _ROOT_AT + _NK
    owner = bytes.fromhex("01020000000000052000000020020000")  # the group of administrators, S-1-5-32-544
    descriptor = struct.pack("<BBHIIII", 1, 0, 0x8000, 20, 20 + len(owner), 0, 0) + owner + owner
    key = struct.pack("<2sHQ", b"nk", 0x2C, _TIME)
    key += struct.pack("<IIIIIIIII", 0, _NONE, 0, 0, _NONE, _NONE, 0, _NONE, security_at)
    key += struct.pack("<IIIIIIHH", _NONE, 0, 0, 0, 0, 0, len(name), 0) + name
    security = struct.pack("<2sHIIII", b"sk", 0, security_at, security_at, 1, len(descriptor)) + descriptor
    used = _ROOT_AT + _NK + _SK
    bins = struct.pack("<4sIIQQI", b"hbin", 0, _PAGE, 0, _TIME, 0) + _cell(key, _NK) + _cell(security, _SK)
    bins += struct.pack("<i", _PAGE - used)  # a cell that is free has a positive size
    header = struct.pack("<4sIIQIIIIIII", b"regf", 1, 1, _TIME, 1, 3, 0, 1, _ROOT_AT, _PAGE, 1).ljust(508, b"\0")
    return (header + number(_checksum(header))).ljust(_PAGE, b"\0") + bins.ljust(_PAGE, b"\0")


def _checksum(header: bytes | bytearray) -> int:
    checksum = 0
    for (word,) in struct.iter_unpack("<I", header):
        checksum ^= word
    return checksum


def _cell(content: bytes, size: int) -> bytes:
    return struct.pack("<i", -size) + content.ljust(size - 4, b"\0")
