# SPDX-License-Identifier: BSD-2-Clause
"""The passwords of a Windows guest's users.

A Windows that sets itself up when it starts next sets them itself, from the answer file. Those of users that are there
already are put into the database of accounts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from snf_image_helper.root import Root
from snf_image_helper.task import TaskError, Work
from snf_image_helper.windows import installed
from snf_image_helper.windows.hive import Hive, Value
from snf_image_helper.windows.registry import (
    ACCOUNTS,
    ADMINISTRATOR,
    GENERALIZED,
    SYSTEM,
    accounts,
    control_set,
    installation,
    opened,
)


def change(work: Work) -> None:
    """Give the users of this deployment its password.

    The account that is built in has another name in some languages; whoever names nobody means it all the same.
    """
    job = work.job
    if job.ssh_keys:
        work.warn("SSH keys are not supported for Windows: they are left out")
    if job.password_hash:
        raise TaskError("Windows takes no hash of a password: give img_passwd in place of img_passwd_hash")
    if not job.password:
        work.warn("no password is given: Windows will ask for one, or keep that of the image")
        return
    there = accounts(work.root) if job.users else {user.lower(): ADMINISTRATOR for user in work.users}
    generalized = installation(work.root).state == GENERALIZED
    if generalized:
        _answer(work, there)
    else:
        _check(work, there)
    if job.users or not generalized:
        numbers = [there[user.lower()] for user in work.users if user.lower() in there]
        set_hashes(work.root, dict.fromkeys(numbers), job.password)


def set_hashes(root: Root, numbers: Iterable[int], password: str) -> None:
    """Make *password* that of the accounts *numbers*, or raise TaskError and change nothing."""
    # Their library is not small, and most guests do without.
    from snf_image_helper.windows import account, account_key, ciphers

    with opened(root, SYSTEM) as hive:
        boot = account_key.boot_key(hive, control_set(hive))
    new = account.nt_hash(password)
    with opened(root, ACCOUNTS, write=True) as hive:
        form, key = account_key.opened(_value(hive, account_key.DOMAIN, "F").data, boot)
        changes: list[tuple[Value, bytes]] = []
        for number in numbers:
            path = rf"{account_key.DOMAIN}\Users\{number:08X}"
            secret, login = _value(hive, path, "V"), _value(hive, path, "F")
            hidden = account.with_hash(secret.data, number, form, key, new, os.urandom(ciphers.BLOCK))
            changes += [(secret, hidden), (login, account.with_login(login.data, number, time.time()))]
        for value, data in changes:
            hive.set_data(value, data)


def _answer(work: Work, there: dict[str, int]) -> None:
    """Put the password of each user into the answer file."""
    password = work.job.password
    path, answers = installed.load(work)
    for user in work.users:
        if there.get(user.lower()) == ADMINISTRATOR:
            answers.set_administrator_password(password)
        elif user.lower() in there or answers.makes_user(user):
            answers.set_user_password(user, password)
        else:
            raise _nobody(user, there)
    installed.save(work, path, answers)


def _check(work: Work, there: dict[str, int]) -> None:
    for user in work.users:
        if user.lower() not in there:
            raise _nobody(user, there)


def _nobody(user: str, there: dict[str, int]) -> TaskError:
    return TaskError(f"the guest has no user {user!r}: name those of {', '.join(sorted(there))} in USERS")


def _value(hive: Hive, path: str, name: str) -> Value:
    found = hive.value(hive.key(path), name)
    if found is None:
        raise TaskError(rf"the guest's accounts database (SAM) has no value {name} of {path}")
    return found
