# SPDX-License-Identifier: BSD-2-Clause
"""EnforcePersonality: the owner's files in the guest."""

from __future__ import annotations

import base64
import os.path

from snf_image_helper import users
from snf_image_helper.job import PersonalityFile
from snf_image_helper.task import WINDOWS, TaskError, Work

FOLDER_MODE = 0o750


def run(work: Work) -> None:
    """Write each file, with owner, group and mode where the guest has such a thing.

    Missing folders are made for the same owner. A user whom cloud-init has yet to make gets the file by cloud-init.
    """
    for file in work.job.personality:
        if ".." in file.path.split("/") or file.path.endswith("/"):
            raise TaskError(f"personality file {file.path!r}: the path must lead straight to a file")
        if work.family == WINDOWS:
            work.root.make_folders(os.path.dirname(file.path))
            work.root.write(file.path, file.contents)
        else:
            _write(work, file)


def _write(work: Work, file: PersonalityFile) -> None:
    owner = users.user_number(work.root, file.owner)
    group = users.group_number(work.root, file.group)
    if owner is not None and group is not None:
        work.root.make_folders(os.path.dirname(file.path), mode=FOLDER_MODE, owner=owner, group=group)
        work.root.write(file.path, file.contents, mode=file.mode, owner=owner, group=group)
        return
    if not work.cloud_init:
        kind, word = ("user", file.owner) if owner is None else ("group", file.group)
        raise TaskError(f"personality file {file.path!r}: the image has no {kind} {word!r}")
    entry = {
        "path": file.path,
        "content": base64.b64encode(file.contents).decode(),
        "encoding": "b64",
        "owner": f"{file.owner}:{file.group}",
        "permissions": f"{file.mode:04o}",
        # After the users are made.
        "defer": True,
    }
    given = work.cloud_config.setdefault("write_files", [])
    assert isinstance(given, list)
    given.append(entry)
