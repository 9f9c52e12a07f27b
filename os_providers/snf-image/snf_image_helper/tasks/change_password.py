# SPDX-License-Identifier: BSD-2-Clause
"""ChangePassword: the owner's password and SSH keys for the users of this deployment."""

from __future__ import annotations

from snf_image_helper import authorized_keys, cloud_init, passwords, sshd, users
from snf_image_helper.task import WINDOWS, Work

# Since when cloud-init knows "users" in chpasswd; what came before tells a hash from a password by its beginning.
_USERS_SINCE = (22, 3)
_OLD_HASHES = ("$5$", "$6$")


def run(work: Work) -> None:
    """Set password and keys of each user. Raises TaskError for one whom the guest does not have.

    Where cloud-init works, it is told the same: it locks the password of its own default user at the first boot, and
    makes users that are not there yet.
    """
    if work.family == WINDOWS:
        from snf_image_helper.windows import passwords as windows_passwords

        windows_passwords.change(work)
        return
    new, keys = passwords.wanted_hash(work.job), work.job.ssh_keys
    if not new and not keys:
        work.warn("neither a password nor SSH keys are given: the image's own stay as they are")
        return
    there = users.accounts(work.root)
    if not work.cloud_init:
        for name in work.users:
            users.account(work.root, name)
    present = [there[name] for name in dict.fromkeys(work.users) if name in there]
    if new and present:
        passwords.set_hash(work.root, [account.name for account in present], new)
    if keys and present:
        settings = sshd.settings(work.root)
        for account in present:
            authorized_keys.add(work.root, account, keys, settings)
    if work.cloud_init:
        _tell_cloud_init(work, new, there)


def _tell_cloud_init(work: Work, new: str, there: dict[str, users.Account]) -> None:
    keys = list(work.job.ssh_keys)
    for name in work.users:
        if name not in there:
            work.warn(f"the image has no user {name!r} yet: cloud-init is asked to make it")
    # It would lock the password of whoever it is told of.
    entry: dict[str, object] = {"lock_passwd": False} | ({"ssh_authorized_keys": keys} if keys else {})
    # "default" stands for the user of the image's own settings, who would not be made without it.
    work.cloud_config["users"] = ["default", *({"name": name, **entry} for name in work.users)]
    if keys:
        work.meta_data["public-keys"] = keys
    if "root" in work.users:
        # Else cloud-init puts a command before root's keys that does nothing but refuse.
        work.cloud_config["disable_root"] = False
    if new:
        work.cloud_config["chpasswd"] = {"expire": False, **_passwords(work, new)}
        work.cloud_config["ssh_pwauth"] = True


def _passwords(work: Work, new: str) -> dict[str, object]:
    """The hash for each user, in the form that the image's cloud-init knows."""
    if cloud_init.version(work.root) >= _USERS_SINCE:
        return {"users": [{"name": name, "password": new, "type": "hash"} for name in work.users]}
    if new.startswith(_OLD_HASHES):
        return {"list": [f"{name}:{new}" for name in work.users]}
    # It would take the hash for the password.
    work.warn("the image's cloud-init knows no such hash: choose sha512, or its own user will have no password")
    return {}
