# SPDX-License-Identifier: BSD-2-Clause
"""The passwords of a Windows guest's users: Windows sets them itself, from the answer file."""

from __future__ import annotations

from snf_image_helper.task import TaskError, Work
from snf_image_helper.windows import installed
from snf_image_helper.windows.registry import ADMINISTRATOR, accounts


def change(work: Work) -> None:
    """Have Windows give the users of this deployment its password."""
    job = work.job
    if job.ssh_keys:
        work.warn("SSH keys are not supported for Windows: they are left out")
    if job.password_hash:
        raise TaskError("Windows takes no hash of a password: give img_passwd in place of img_passwd_hash")
    if not job.password:
        work.warn("no password is given: Windows will ask for one, or keep that of the image")
        return
    path, answers = installed.load(work)
    # The account that is built in has another name in some languages; whoever names nobody means it all the same.
    if job.users:
        there = accounts(work.root)
    else:
        there = {user.lower(): ADMINISTRATOR for user in work.users}
    for user in work.users:
        if there.get(user.lower()) == ADMINISTRATOR:
            answers.set_administrator_password(job.password)
        elif user.lower() in there or answers.makes_user(user):
            answers.set_user_password(user, job.password)
        else:
            raise TaskError(f"the guest has no user {user!r}: name those of {', '.join(sorted(there))} in USERS")
    installed.save(work, path, answers)
