# SPDX-License-Identifier: BSD-2-Clause
"""RunCustomTask: a program that the image brings for the helper machine, where the site allows it."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shlex

from snf_image_helper import scratch
from snf_image_helper.job import Nic
from snf_image_helper.task import TaskError, Work

TIMEOUT_S = 100.0
_KEY = re.compile(r"[A-Z0-9_]+")
_INTERPRETER = re.compile(r"#!\s*(/[!-~]+)(?:[ \t]+([^\n]*))?\n")


def run(work: Work) -> None:
    """Run the program in the helper, beside the guest's tree and not in it, with what it may know in SNF_IMAGE_*.

    What it writes to its output is dropped but for its last words when it fails.
    """
    if not work.job.custom_task:
        return
    try:
        program = base64.b64decode(work.job.custom_task, validate=True)
    except binascii.Error as err:
        raise TaskError("CUSTOM_TASK is no base64") from err
    with scratch.folder() as folder:
        path = f"{folder}/custom-task"
        with open(path, "xb") as stream:
            stream.write(program)
        # By its standard input the shell learns what must stand in no command line: passwords.
        script = (
            exports(variables(work)) + f"exec {' '.join(map(shlex.quote, interpreter(program)))} {path} </dev/null\n"
        )
        work.run(["/bin/sh"], stdin=script.encode(errors="surrogateescape"), timeout_s=TIMEOUT_S)


def interpreter(program: bytes) -> list[str]:
    """Who is to read the program, with an argument at most: execve(2). Files of the helper's own cannot be executed."""
    found = _INTERPRETER.match(program[:256].decode(errors="replace"))
    if found is None:
        return ["/bin/sh"]
    argument = (found[2] or "").strip()
    return [os.path.normpath(found[1]), *([argument] if argument else [])]


def variables(work: Work) -> dict[str, str]:
    """What a custom task may know, under the names that the original documents."""
    job = work.job
    known = {
        "TARGET": work.root.path,
        "DEV": work.disk,
        "DEV_COUNT": str(len(work.disks)),
        "HOSTNAME": job.hostname,
        "PASSWD": job.password,
        "PASSWD_HASH": job.password_hash,
        "AUTH_KEYS": "\n".join(job.ssh_keys),
        "PERSONALITY": json.dumps([_personality(file._asdict(), file.contents) for file in job.personality]),
        "TYPE": "diskdump",
        "OS_PRODUCT_KEY": job.product_key,
        "CLOUD_USERDATA": base64.b64encode(job.user_data).decode(),
        "NIC_COUNT": str(len(job.nics)),
    }
    known |= {f"DEV_{index}": disk for index, disk in enumerate(work.disks)}
    known |= {f"PROPERTY_{key}": value for key, value in job.properties.items() if _KEY.fullmatch(key)}
    for index, nic in enumerate(job.nics):
        known |= {f"NIC_{index}_{key}": value for key, value in _nic(nic).items()}
    return {f"SNF_IMAGE_{key}": value for key, value in known.items()}


def exports(given: dict[str, str]) -> str:
    """The same as commands of a shell. A zero byte cannot be in a variable."""
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in given.items() if "\0" not in value)


def _personality(entry: dict[str, object], contents: bytes) -> dict[str, object]:
    return entry | {"contents": base64.b64encode(contents).decode()}


def _nic(nic: Nic) -> dict[str, str]:
    return {
        "MAC": nic.mac,
        "IP": nic.ip,
        "NETWORK_SUBNET": nic.subnet,
        "NETWORK_GATEWAY": nic.gateway,
        "NETWORK_SUBNET6": nic.subnet6,
        "NETWORK_GATEWAY6": nic.gateway6,
    }
