# SPDX-License-Identifier: BSD-2-Clause
"""Users of a Linux guest: their passwords and SSH keys."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest

from snf_image_helper import cloud_init, passwords, sshd, users
from snf_image_helper.authorized_keys import key_file, with_keys
from snf_image_helper.job import Job
from snf_image_helper.sshd import SshdSettings
from snf_image_helper.task import TaskError
from snf_image_helper.tasks import change_password
from snf_image_helper.users import Account
from tests.unit.snf_guest import PLAIN_JOB, Guest

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2Cm me@laptop"
OTHER = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ you@laptop"
HASH = "$6$saltsalt$abcdefghijklmnop"
PASSWORD = 's3c"ret\\ü $x'

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:*:1:1:daemon:/usr/sbin:/usr/sbin/nologin
debian:x:1000:1001:Debian,,,:/home/debian:/bin/bash
broken:x:many:1:::
short:x:5:5
:x:6:6:::
debian:x:0:0:again:/:/bin/sh
"""
SHADOW = """\
root:!*:19000:0:99999:7:30:20000:
daemon:*:19000:0:99999:7:::
debian::19000:1:90:7:::
"""


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    guest = Guest(tmp_path / "guest")
    guest.put("/etc/passwd", PASSWD)
    guest.put("/etc/group", "root:x:0:\nadm:x:4:\nusers:x:100:debian\nadm:x:5:\nplus:x\n")
    guest.put("/etc/shadow", SHADOW).chmod(0o640)
    guest.put("/root/.bashrc")
    guest.put("/home/debian/.bashrc")
    return guest


def verifies(password: str, made: str) -> bool:
    """Whether the machine's own libcrypt takes *password* for the one of the hash."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return bool(library.crypt(password.encode(), made.encode()) == made.encode())


def change(guest: Guest, *, cloud_init: bool = False, **given: object) -> dict[str, object]:
    """Run ChangePassword; returns what cloud-init is told."""
    job: Job = PLAIN_JOB._replace(**given)  # type: ignore[arg-type]  # by the names of its fields
    work = guest.work(job, cloud_init=cloud_init)
    change_password.run(work)
    return {**work.cloud_config, **work.meta_data}


def test_users_are_looked_up(guest: Guest) -> None:
    found = users.accounts(guest.root)
    assert sorted(found) == ["daemon", "debian", "root"]
    assert found["debian"] == Account("debian", 1000, 1001, "/home/debian")
    assert users.groups(guest.root) == {"root": 0, "adm": 4, "users": 100}


@pytest.mark.parametrize(
    ("word", "user", "group"),
    [
        ("debian", 1000, None),
        ("adm", None, 4),
        ("33", 33, 33),
        ("4294967294", 4294967294, 4294967294),
        ("4294967295", None, None),
        ("99999999999999999999", None, None),
        ("-1", None, None),
        ("", None, None),
    ],
)
def test_owners_are_names_or_numbers(guest: Guest, word: str, user: int | None, group: int | None) -> None:
    assert (users.user_number(guest.root, word), users.group_number(guest.root, word)) == (user, group)


def test_a_user_without_a_home_lives_at_the_root(guest: Guest) -> None:
    guest.put("/etc/passwd", "me:x:5:6:::\n")
    assert users.accounts(guest.root) == {"me": Account("me", 5, 6, "/")}


def test_a_guest_without_users_has_none(tmp_path: Path) -> None:
    assert users.accounts(Guest(tmp_path).root) == {}


@pytest.mark.parametrize("method", ["", "sha512", "SHA256", "yescrypt"])
def test_a_hash_is_made_and_opens(method: str) -> None:
    properties = {"PASSWD_HASHING_METHOD": method}
    made = [passwords.wanted_hash(PLAIN_JOB._replace(password=PASSWORD, properties=properties)) for _ in range(2)]
    assert [made_one.startswith(passwords.PREFIXES[method.lower() or "sha512"]) for made_one in made] == [True, True]
    assert [verifies(PASSWORD, made_one) for made_one in made] == [True, True]
    assert (verifies(PASSWORD + "x", made[0]), made[0] == made[1]) == (False, False)


def test_a_ready_hash_is_taken() -> None:
    assert passwords.wanted_hash(PLAIN_JOB._replace(password_hash=HASH)) == HASH
    none = {"PASSWD_HASHING_METHOD": "none"}
    assert passwords.wanted_hash(PLAIN_JOB._replace(password=HASH, properties=none)) == HASH
    assert passwords.wanted_hash(PLAIN_JOB) == ""


@pytest.mark.parametrize("method", ["md5", "sha1", "blowfish", "rot13"])
def test_weak_methods_are_refused(method: str) -> None:
    job = PLAIN_JOB._replace(password=PASSWORD, properties={"PASSWD_HASHING_METHOD": method})
    with pytest.raises(
        TaskError, match=f"^PASSWD_HASHING_METHOD={method}: write one of sha512, sha256, yescrypt, none$"
    ):
        passwords.wanted_hash(job)


@pytest.mark.parametrize("text", ["secret", "$6$salt:x", "$6$a\nroot2::0:0::/:", "$6$", "*0", "$6$a b"])
def test_what_is_no_hash_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(TaskError) as caught:
        passwords.wanted_hash(PLAIN_JOB._replace(password_hash=text))
    assert str(caught.value) == "the hash of the password is none: write it as crypt(5) has it, like $6$salt$hash"


@pytest.mark.parametrize(
    ("password", "reason"), [("a\0b", "zero byte"), ("x" * 600, "libcrypt makes no sha512 hash of this password")]
)
def test_a_password_that_cannot_be_hashed_is_refused(password: str, reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        passwords.wanted_hash(PLAIN_JOB._replace(password=password))


def test_the_other_fields_stay(guest: Guest) -> None:
    change(guest, users=("root", "debian"), password_hash=HASH)
    assert guest.text("/etc/shadow") == SHADOW.replace("!*", HASH).replace("debian::", f"debian:{HASH}:")
    assert guest.belongs("/etc/shadow") == (0o640, 0, 0)
    assert guest.text("/etc/passwd") == PASSWD
    assert guest.warnings == []


def test_the_password_opens_the_account(guest: Guest) -> None:
    change(guest, password=PASSWORD)
    assert verifies(PASSWORD, guest.text("/etc/shadow").split(":")[1])


def test_an_entry_that_is_missing_is_added(guest: Guest) -> None:
    guest.put("/etc/shadow", "root:*:1::::::")
    guest.put("/etc/passwd", PASSWD.replace("debian:x:", "debian:oldcrypt:"))
    change(guest, users=("debian",), password_hash=HASH)
    assert guest.text("/etc/shadow") == f"root:*:1::::::\ndebian:{HASH}:::::::\n"
    assert guest.text("/etc/passwd") == PASSWD


def test_an_added_entry_has_a_line_of_its_own() -> None:
    assert passwords.with_hash("a:b:1\n", ["new"], HASH) == f"a:b:1\nnew:{HASH}:::::::\n"


def test_a_user_must_exist(guest: Guest) -> None:
    with pytest.raises(TaskError, match="^the image has no user 'ubuntu': name others in USERS$"):
        change(guest, users=("root", "ubuntu"), password_hash=HASH, ssh_keys=(KEY,))
    assert guest.text("/etc/shadow") == SHADOW
    assert not guest.root.exists("/root/.ssh")


def test_an_image_without_shadow_is_refused(guest: Guest) -> None:
    guest.root.remove("/etc/shadow")
    with pytest.raises(TaskError, match="^the image has no /etc/shadow to keep a password in$"):
        change(guest, password_hash=HASH)


def test_nothing_given_is_told(guest: Guest) -> None:
    assert change(guest, cloud_init=True) == {}
    assert guest.warnings == ["neither a password nor SSH keys are given: the image's own stay as they are"]


def test_keys_are_added_with_mode_and_owner(guest: Guest) -> None:
    change(guest, users=("root", "debian"), ssh_keys=(KEY, OTHER))
    for home, ids in (("/root", (0, 0)), ("/home/debian", (1000, 1001))):
        assert guest.text(f"{home}/.ssh/authorized_keys") == f"{KEY}\n{OTHER}\n"
        assert guest.belongs(f"{home}/.ssh/authorized_keys") == (0o600, *ids)
        assert guest.belongs(f"{home}/.ssh") == (0o700, *ids)
    assert guest.text("/etc/shadow") == SHADOW


def test_keys_that_are_there_are_not_doubled(guest: Guest) -> None:
    there = f'# mine\ncommand="/bin/true" {KEY.replace("me@laptop", "old name")}'
    guest.put("/root/.ssh/authorized_keys", there)
    change(guest, ssh_keys=(KEY, OTHER, OTHER))
    change(guest, ssh_keys=(KEY, OTHER))
    assert guest.text("/root/.ssh/authorized_keys") == f"{there}\n{OTHER}\n"


def test_keys_of_which_nothing_is_known_are_compared_as_they_are() -> None:
    assert with_keys("odd key\n", ["odd key", "other"]) == "odd key\nother\n"


def test_sshd_config_says_where_keys_are(guest: Guest) -> None:
    guest.put("/etc/ssh/sshd_config", "Port 22\n\tauthorizedkeysfile = /etc/ssh/keys/%u .ssh/x # ours\n")
    change(guest, users=("debian",), ssh_keys=(KEY,))
    assert guest.text("/etc/ssh/keys/debian") == f"{KEY}\n"
    assert (guest.belongs("/etc/ssh/keys/debian"), guest.belongs("/etc/ssh/keys")) == (
        (0o600, 1000, 1001),
        (0o755, 0, 0),
    )


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("%h/.ssh/keys", "/home/me/.ssh/keys"),
        ("/keys/%U-%u", "/keys/7-me"),
        ("a%%u", "/home/me/a%u"),
        ("%%%u", "/home/me/%me"),
        (".ssh/authorized_keys", "/home/me/.ssh/authorized_keys"),
    ],
)
def test_tokens_of_the_path(pattern: str, path: str) -> None:
    assert key_file(SshdSettings((pattern,), ()), Account("me", 7, 8, "/home/me")) == path


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("none", "reads no authorized keys"), ("/x/%k", "AuthorizedKeysFile /x/%k .* nothing is known of %k")],
)
def test_places_that_cannot_be_are_refused(pattern: str, reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        key_file(SshdSettings((pattern,), ()), Account("me", 7, 8, "/home/me"))


def test_a_home_that_leads_out_stays_within(guest: Guest, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    guest.put("/etc/passwd", f"root:x:0:0:root:{outside}:/bin/sh\n")
    guest.link(str(outside), "/" + "../" * 30 + "tmp/elsewhere")
    change(guest, ssh_keys=(KEY,))
    assert list(outside.iterdir()) == []
    assert guest.text("/tmp/elsewhere/.ssh/authorized_keys") == f"{KEY}\n"


def test_the_first_setting_counts_and_includes_are_read(guest: Guest) -> None:
    guest.put(
        "/etc/ssh/sshd_config",
        "# AuthorizedKeysFile /none\nInclude /etc/ssh/sshd_config.d/*.conf\nAuthorizedKeysFile /last\n"
        "HostKey /etc/ssh/ssh_host_rsa_key\nMatch User x\n  HostKey /matched\n",
    )
    guest.put(
        "/etc/ssh/sshd_config.d/50-a.conf", 'AuthorizedKeysFile "/with space/%u" /second\nMatch all\nHostKey /m\n'
    )
    guest.put("/etc/ssh/sshd_config.d/60-b.conf", "AuthorizedKeysFile /b\nHostKey=/etc/ssh/ssh_host_ed25519_key\n")
    guest.put("/etc/ssh/sshd_config.d/README", "AuthorizedKeysFile /readme\n")
    assert sshd.settings(guest.root) == SshdSettings(
        ("/with space/%u", "/second"), ("/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key")
    )


def test_the_settings_of_other_systems_are_found(guest: Guest) -> None:
    guest.put("/usr/etc/ssh/sshd_config", "HostKey /suse\n")
    assert sshd.settings(guest.root).host_keys == ("/suse",)


def test_relative_includes_are_beside_the_file(guest: Guest) -> None:
    guest.put("/etc/ssh/sshd_config", "include more\n")
    guest.put("/etc/ssh/more", "HostKey /x\n")
    assert sshd.settings(guest.root).host_keys == ("/x",)


def test_a_file_that_includes_itself_ends(guest: Guest) -> None:
    guest.put("/etc/ssh/sshd_config", "Include sshd_config\nInclude sshd_config\nHostKey /x\n")
    assert sshd.settings(guest.root).host_keys == ("/x",)


VERSION = "/usr/lib/python3/dist-packages/cloudinit/version.py"


@pytest.mark.parametrize(
    ("path", "text", "version"),
    [
        (VERSION, '# x\n__VERSION__ = "22.4.2"\n', (22, 4)),
        (VERSION.replace("python3/dist", "python3.9/site"), "__VERSION__='0.7.9'\n", (0, 7)),
        (VERSION, '__VERSION__ = "@@x@@"\n', (0, 0)),
        ("/etc/x", "", (0, 0)),
    ],
)
def test_the_version_of_cloud_init(guest: Guest, path: str, text: str, version: tuple[int, int]) -> None:
    guest.put(path, text)
    assert cloud_init.version(guest.root) == version


def test_an_old_cloud_init_is_told_in_its_own_words(guest: Guest) -> None:
    guest.put(VERSION, '__VERSION__ = "20.4.1"\n')
    told = change(guest, cloud_init=True, users=("root", "debian"), password_hash=HASH)
    assert told["chpasswd"] == {"expire": False, "list": [f"root:{HASH}", f"debian:{HASH}"]}
    assert guest.warnings == []


def test_an_old_cloud_init_gets_no_hash_that_it_would_take_for_a_password(guest: Guest) -> None:
    guest.put(VERSION, '__VERSION__ = "20.4.1"\n')
    told = change(guest, cloud_init=True, password_hash="$y$j9T$salt$hash")
    assert told["chpasswd"] == {"expire": False}
    assert guest.warnings == [
        "the image's cloud-init knows no such hash: choose sha512, or its own user will have no password"
    ]
    assert "$y$j9T$salt$hash" in guest.text("/etc/shadow")


def test_cloud_init_is_told_the_same(guest: Guest) -> None:
    guest.put(VERSION, '__VERSION__ = "22.4.2"\n')
    told = change(guest, cloud_init=True, users=("root", "ubuntu"), password_hash=HASH, ssh_keys=(KEY,))
    entry = {"lock_passwd": False, "ssh_authorized_keys": [KEY]}
    assert told == {
        "users": ["default", {"name": "root", **entry}, {"name": "ubuntu", **entry}],
        "public-keys": [KEY],
        "disable_root": False,
        "ssh_pwauth": True,
        "chpasswd": {
            "expire": False,
            "users": [{"name": name, "password": HASH, "type": "hash"} for name in ("root", "ubuntu")],
        },
    }
    assert HASH in guest.text("/etc/shadow")
    assert guest.text("/root/.ssh/authorized_keys") == f"{KEY}\n"
    assert guest.warnings == ["the image has no user 'ubuntu' yet: cloud-init is asked to make it"]


def test_cloud_init_is_told_no_more_than_was_given(guest: Guest) -> None:
    assert change(guest, cloud_init=True, users=("debian",), ssh_keys=(KEY,)) == {
        "users": ["default", {"name": "debian", "lock_passwd": False, "ssh_authorized_keys": [KEY]}],
        "public-keys": [KEY],
    }
    assert guest.text("/etc/shadow") == SHADOW


def test_no_message_holds_a_secret(guest: Guest) -> None:
    guest.put("/etc/shadow", "")
    change(guest, cloud_init=True, users=("root", "new"), password=PASSWORD)
    assert not [line for line in guest.warnings if re.search(re.escape(PASSWORD), line)]
