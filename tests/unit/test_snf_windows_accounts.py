# SPDX-License-Identifier: BSD-2-Clause
"""Passwords in the accounts database of Windows: another program reads the hives that hold them."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import hivex
import pytest
from Cryptodome.Hash import MD4

from lab import accounts
from lab.accounts import DISABLED, LOCKED, NEVER_EXPIRES, NO_PASSWORD_NEEDED, NORMAL, Form
from lab.hives import BINARY, DWORD, Registry, number, set_class, write_hive, write_registry
from snf_image_helper.root import Root
from snf_image_helper.task import TaskError
from snf_image_helper.windows import account, ciphers
from snf_image_helper.windows.passwords import set_hashes
from snf_image_helper.windows.registry import FOLDER
from tests.unit.sam_oracle import hashes

PASSWORD = "pä'ss \U0001f511"  # noqa: S105 - no secret
DOMAIN = r"SAM\Domains\Account"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the hives of a guest whose tree is *tmp_path*."""
    where = tmp_path / FOLDER
    where.mkdir(parents=True)
    write_registry(where, Registry())
    return where


def md4(password: str) -> str:
    return MD4.new(password.encode("utf-16-le")).hexdigest()


def free(raw: bytes) -> Iterator[bytes]:
    """What is in the free cells of a hive."""
    place = 4096
    while place < len(raw):
        kind, end = struct.unpack_from("<4s4xI", raw, place)
        assert (kind, end % 4096) == (b"hbin", 0)
        place, end = place + 32, place + end
        while place < end:
            size = struct.unpack_from("<i", raw, place)[0]
            if size > 0:
                yield raw[place + 4 : place + size]
            place += abs(size)
        assert place == end


def login(folder: Path, relative: int) -> bytes:
    """The value F of a user, as hivex reads it."""
    opened = hivex.Hivex(str(folder / "SAM"))
    node: int | None = opened.root()
    for key in (*DOMAIN.split("\\"), "Users", f"{relative:08X}"):
        assert node
        node = opened.node_get_child(node, key)
    assert node
    return opened.value_value(opened.node_get_value(node, "F"))[1]


@pytest.mark.host_tools
@pytest.mark.parametrize("form", Form)
def test_impacket_reads_the_new_password_and_the_others_as_they_were(tmp_path: Path, folder: Path, form: Form) -> None:
    passwords = {"Guest": "guest", "alice": "before"}
    write_registry(folder, Registry(form=form, passwords=passwords, old_passwords={"alice": "before"}))
    before = hashes(folder)
    assert before["Administrator"] == (500, "", "")
    assert [before[name][2] for name in passwords] == [md4("guest"), md4("before")]
    assert form is Form.AES or before["alice"][1] == md4("before")  # impacket looks for no such hash with AES
    # One that had none, for which the record gets longer, and one that had one.
    set_hashes(Root(str(tmp_path)), [500, 1001], PASSWORD)
    assert hashes(folder) == {
        "Administrator": (500, "", md4(PASSWORD)),
        "Guest": (501, "", md4("guest")),
        "alice": (1001, "", md4(PASSWORD)),
    }


@pytest.mark.host_tools
@pytest.mark.parametrize("form", Form)
def test_a_hive_without_room_gets_longer(tmp_path: Path, folder: Path, form: Form) -> None:
    users = tuple((f"user{each}", each) for each in range(1001, 1033))
    write_registry(folder, Registry(form=form, users=users))
    sizes = [(folder / "SAM").stat().st_size]
    for password in ("one", "two"):
        set_hashes(Root(str(tmp_path)), [relative for _, relative in users], password)
        assert hashes(folder) == {name: (relative, "", md4(password)) for name, relative in users}
        sizes.append((folder / "SAM").stat().st_size)
    assert sizes[0] < sizes[1] == sizes[2]
    raw = (folder / "SAM").read_bytes()
    checksum = 0
    for (word,) in struct.iter_unpack("<I", raw[:508]):
        checksum ^= word
    assert (struct.unpack_from("<I", raw, 508)[0], struct.unpack_from("<I", raw, 40)[0]) == (checksum, len(raw) - 4096)
    # What the records had before is free again, and forgotten.
    assert [content.strip(b"\0") for content in free(raw)].count(b"") >= len(users)


def test_the_account_is_made_good_for_a_login(tmp_path: Path, folder: Path) -> None:
    before = login(folder, 500)
    assert struct.unpack_from("<I", before, 0x38)[0] == NORMAL | DISABLED | NO_PASSWORD_NEEDED
    begin = time.time()
    set_hashes(Root(str(tmp_path)), [500], PASSWORD)
    after = login(folder, 500)
    set_at, expires = struct.unpack_from("<QQ", after, 0x18)
    assert begin - 1 < set_at / 1e7 - 11_644_473_600 < time.time() + 1
    assert expires == 0x7FFFFFFFFFFFFFFF
    assert struct.unpack_from("<IIIHHHH", after, 0x30) == (500, 513, NORMAL, 0, 0, 0, 9)
    assert (after[:0x18], after[0x44:]) == (before[:0x18], before[0x44:])
    assert login(folder, 501)[0x38:0x3C] == before[0x38:0x3C]


def test_a_locked_account_is_unlocked_and_keeps_its_other_flags() -> None:
    record = accounts.user_login(1001, NORMAL | LOCKED | NEVER_EXPIRES)
    changed = account.with_login(record, 1001, 0.0)
    assert struct.unpack_from("<I", changed, 0x38)[0] == NORMAL | NEVER_EXPIRES


@pytest.mark.parametrize("form", Form)
def test_nothing_but_the_hashes_changes_in_a_record(form: Form) -> None:
    record = accounts.user_secrets(form, "alice", 1001, None, "before")
    with_other = accounts.user_secrets(form, "alice", 1001, "other", None)
    changed = account.with_hash(record, 1001, form, bytes(range(0x30, 0x40)), ciphers.md4(b"x"), bytes(16))
    assert len(changed) == len(with_other)
    # The table says the same as if Windows had always had one hash and not the other.
    assert changed[:204] == with_other[:204]
    places = [struct.unpack_from("<II", changed, 12 * index) for index in range(17)]
    for index, (begin, size) in enumerate(places):
        if index not in (13, 14):
            old_begin, old_size = struct.unpack_from("<II", record, 12 * index)
            old = record[204 + old_begin : 204 + old_begin + old_size]
            assert changed[204 + begin : 204 + begin + size] == old


@pytest.mark.parametrize(("form", "size", "begin"), [(Form.RC4, 20, "01000100"), (Form.AES, 56, "0200020010000000")])
def test_a_record_that_never_had_a_hash(form: Form, size: int, begin: str) -> None:
    """Both hashes are of no length, and stand where the thing behind them does."""
    table = b"".join(struct.pack("<III", 0, length, 0) for length in (*[0] * 15, 4, 0))
    changed = account.with_hash(table + b"next", 1001, form, bytes(16), bytes(16), bytes(16))
    places = [struct.unpack_from("<II", changed, 12 * index) for index in range(17)]
    assert places == [*[(0, 0)] * 14, (0, size), (size, 4), (size, 0)]
    assert (changed[204:].hex().startswith(begin), changed[204 + size :]) == (True, b"next")


def test_ciphers_by_their_published_vectors() -> None:
    assert ciphers.md4(b"abc").hex() == "a448017aaf21d8525fc10ae87aa6729d"  # RFC 1320, A.5
    assert ciphers.md5(b"abc").hex() == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, A.5
    assert ciphers.sha256(b"abc").hex().startswith("ba7816bf8f01cfea")  # FIPS 180-4
    assert ciphers.rc4(bytes.fromhex("0102030405"), bytes(16)).hex() == "b2396305f03dc027ccc3524a0a1118a8"  # RFC 6229
    # NIST SP 800-17, table 1: the first of the plaintexts with one bit, under a key of zeros (its parity left out).
    assert ciphers.des(bytes(7), bytes.fromhex("8000000000000000")).hex() == "95f8a5e5dd31d900"
    key, vector = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"), bytes(range(16))
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    hidden = ciphers.aes_encrypted(key, vector, plain)
    assert hidden[:16].hex() == "7649abac8119b246cee98e9b12e9197d"  # NIST SP 800-38A, F.2.1
    assert ciphers.aes_decrypted(key, vector, hidden) == plain + bytes([16]) * 16


def changed_sam(folder: Path, key: str, name: str, data: bytes | None) -> None:
    """Make the value *name* of *key* in SAM another, or take it away."""
    hive = hivex.Hivex(str(folder / "SAM"), write=True)
    node = hive.root()
    for part in key.split("\\"):
        node = hive.node_get_child(node, part) or 0
    values = [("F", accounts.user_login(500, NORMAL)), ("V", accounts.user_secrets(Form.AES, "a", 500, "x"))]
    kept = [(each, data if each == name else old) for each, old in values]
    hive.node_set_values(node, [{"key": each, "t": BINARY, "value": new} for each, new in kept if new is not None])
    hive.commit(None)


USER = rf"{DOMAIN}\Users\000001F4"
RECORD = accounts.user_secrets(Form.AES, "a", 500, "x")
KEY = accounts.domain(Form.AES)


def patched(record: bytes, at: int, data: bytes) -> bytes:
    return record[:at] + data + record[at + len(data) :]


@pytest.mark.parametrize(
    ("key", "name", "data", "why"),
    [
        (USER, "V", None, r"\(SAM\) has no value V of SAM\\Domains\\Account\\Users\\000001F4"),
        (USER, "F", None, r"\(SAM\) has no value F of"),
        (USER, "V", b"", "is damaged: the value V of user 000001F4 is too short"),
        (USER, "V", RECORD[:200], "the value V of user 000001F4 is too short"),
        (USER, "V", patched(RECORD, 0xA8, number(len(RECORD))), "V of user 000001F4 is shorter than it says"),
        (USER, "V", patched(RECORD, 0xAC, number(0xFFFFFFFF)), "V of user 000001F4 is shorter than it says"),
        (USER, "V", patched(RECORD, 0x9C, number(0xFFFFFFF0)), "V of user 000001F4 is shorter than it says"),
        (USER, "V", patched(RECORD, 0xAC, number(3)), "V of user 000001F4 has half a password"),
        (USER, "V", patched(RECORD, 204 + 0x118 + 2, b"\x07"), "V of user 000001F4 has a password of the form 7"),
        (USER, "F", bytes(0x43), "the value F of user 000001F4 is too short"),
        (USER, "F", bytes(80), "the value F of user 000001F4 is that of another account"),
        (DOMAIN, "F", None, r"\(SAM\) has no value F of SAM\\Domains\\Account"),
        (DOMAIN, "F", KEY[:0x68], r"the value F of SAM\\Domains\\Account is too short"),
        (DOMAIN, "F", KEY[:0x70], r"the value F of SAM\\Domains\\Account is too short"),
        (DOMAIN, "F", patched(KEY, 0x68, number(3)), "has a key of the form 3, which is not known here"),
        (DOMAIN, "F", patched(KEY, 0x68, number(1)), "has a key that the boot key does not open"),
        (DOMAIN, "F", patched(KEY, 0x74, number(0xFFFFFFFF)), "has a key of a length that cannot be"),
        (DOMAIN, "F", patched(KEY, 0x70, number(0)), "has a key of a length that cannot be"),
        (DOMAIN, "F", patched(KEY, 0x88, b"\0"), "has a key that the boot key does not open"),
    ],
)
def test_a_damaged_value_is_named(
    tmp_path: Path, folder: Path, key: str, name: str, data: bytes | None, why: str
) -> None:
    changed_sam(folder, key, name, data)
    before = (folder / "SAM").read_bytes()
    with pytest.raises(TaskError, match=why):
        set_hashes(Root(str(tmp_path)), [500], PASSWORD)
    assert (folder / "SAM").read_bytes() == before


@pytest.mark.parametrize("name", ["", "d8a91f", "d8a91fzz", "d8a91f04d8a91f04"])
def test_a_part_of_the_boot_key_that_is_none(tmp_path: Path, folder: Path, name: str) -> None:
    set_class(folder / "SYSTEM", r"ControlSet001\Control\Lsa\GBG", name)
    told = r"the class of SYSTEM\\ControlSet001\\Control\\Lsa\\GBG is no part of a key"
    with pytest.raises(TaskError, match=told):
        set_hashes(Root(str(tmp_path)), [500], PASSWORD)


def test_a_boot_key_that_is_not_in_the_registry(tmp_path: Path, folder: Path) -> None:
    values = {r"ControlSet001\Control\Lsa": [("SecureBoot", DWORD, number(2))]}
    write_hive(folder / "SYSTEM", {"Select": [("Default", DWORD, number(1))], **values})
    with pytest.raises(TaskError, match=r"asks for a password or a disk when it starts \(SYSKEY\)"):
        set_hashes(Root(str(tmp_path)), [500], PASSWORD)


def test_a_boot_key_of_another_guest(tmp_path: Path, folder: Path) -> None:
    set_class(folder / "SYSTEM", r"ControlSet001\Control\Lsa\JD", "00000000")
    with pytest.raises(TaskError, match="has a key that the boot key does not open"):
        set_hashes(Root(str(tmp_path)), [500], PASSWORD)


def test_none_is_changed_when_one_cannot_be(tmp_path: Path, folder: Path) -> None:
    before = (folder / "SAM").read_bytes()
    with pytest.raises(TaskError, match=r"has no value V of SAM\\Domains\\Account\\Users\\000003EA"):
        set_hashes(Root(str(tmp_path)), [500, 1002], PASSWORD)
    assert (folder / "SAM").read_bytes() == before


@pytest.mark.parametrize(
    ("at", "data", "why"),
    [
        (40, number(0x1001), "its bins have a size that cannot be"),
        (40, number(1 << 30), "its bins have a size that cannot be"),
        (4096, b"none", "one of its bins is none"),
        (4096 + 8, number(0), "one of its bins is none"),
        (4096 + 8, number(1 << 20), "one of its bins is none"),
        (4096 + 32, number(0x7FFFFFF8), "it points to what is no record"),
        (4096 + 248, number(3856), "a cell is longer than its bin"),
    ],
)
def test_a_hive_in_which_no_room_can_be_found(tmp_path: Path, folder: Path, at: int, data: bytes, why: str) -> None:
    with (folder / "SAM").open("r+b") as stream:
        stream.seek(at)
        stream.write(data)
    with pytest.raises(TaskError, match=f"the registry hive SAM is damaged: ({why})"):
        set_hashes(Root(str(tmp_path)), [500], PASSWORD)


def test_a_database_that_windows_would_repair_is_not_written(tmp_path: Path, folder: Path) -> None:
    with (folder / "SAM").open("r+b") as stream:
        stream.seek(4)
        stream.write(struct.pack("<II", 9, 8))
    before = (folder / "SAM").read_bytes()
    with pytest.raises(TaskError, match="SAM was not written to its end: start the image once more, and shut"):
        set_hashes(Root(str(tmp_path)), [1001], PASSWORD)
    assert (folder / "SAM").read_bytes() == before


def test_damaged_databases_end_in_a_password_or_an_error(tmp_path: Path, folder: Path) -> None:
    """Every byte may be anything: no other error, no endless walk."""
    chance = random.Random(4)  # noqa: S311 - to be the same each time
    whole = {name: (folder / name).read_bytes() for name in ("SYSTEM", "SAM")}
    told: set[str] = set()
    for _ in range(300):
        for name, content in whole.items():
            raw = bytearray(content)
            for _ in range(chance.choice((1, 4, 40))):
                raw[chance.randrange(len(raw))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            (folder / name).write_bytes(raw)
        try:
            set_hashes(Root(str(tmp_path)), [500, 1001], PASSWORD)
        except TaskError as err:
            told.add(str(err))
    assert len(told) > 10
