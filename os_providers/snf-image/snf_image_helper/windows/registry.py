# SPDX-License-Identifier: BSD-2-Clause
"""What the registry of a Windows guest says of it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from snf_image_helper.records import NamedTuple
from snf_image_helper.root import Root
from snf_image_helper.task import TaskError
from snf_image_helper.windows.hive import Hive, Value

FOLDER = "Windows/System32/config"
SYSTEM = "SYSTEM"
SOFTWARE = "SOFTWARE"
ACCOUNTS = "SAM"

# What a guest says of itself after `sysprep /generalize /oobe`: then alone it reads an answer file when it starts.
GENERALIZED = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
ADMINISTRATOR = 500  # the relative identifier of the account that is built in, whatever its name is

_DENY = "fDenyTSConnections"
# The words of answer files for what the registry calls a processor.
_ARCHITECTURES = {"AMD64": "amd64", "X86": "x86", "ARM64": "arm64"}


class Installation(NamedTuple):
    """What Windows it is: its version (6 is Vista), its state in the words of sysprep, its processor, its language.

    *answer_file* is the path of the answer file that the guest was told to take, or empty.
    """

    version: int
    state: str
    architecture: str
    language: str
    answer_file: str


@contextmanager
def opened(root: Root, name: str, *, write: bool = False) -> Iterator[Hive]:
    """The hive *name* of the guest, for the block. Raises TaskError when there is none that can be read."""
    descriptor = -1
    folder = root.open_folder(FOLDER)
    try:
        mode = os.O_RDWR if write else os.O_RDONLY
        descriptor = os.open(name, mode | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TaskError(f"{FOLDER}/{name} is no file")
        yield Hive(descriptor, name)
    except FileNotFoundError as err:
        raise TaskError(f"the guest has no {FOLDER}/{name}: it is no Windows, or not a whole one") from err
    finally:
        os.close(folder)
        if descriptor >= 0:
            os.close(descriptor)


def installation(root: Root) -> Installation:
    """Look the guest up. Raises TaskError when it is of a kind that cannot be told."""
    with opened(root, SOFTWARE) as hive:
        now = hive.key(r"Microsoft\Windows NT\CurrentVersion")
        # Windows 10 calls itself 6.3 in the older value, for old programs.
        major, older = hive.value(now, "CurrentMajorVersionNumber"), hive.value(now, "CurrentVersion")
        state = hive.value(hive.key(r"Microsoft\Windows\CurrentVersion\Setup\State"), "ImageState")
    with opened(root, SYSTEM) as hive:
        control = rf"{control_set(hive)}\Control"
        processor = hive.value(hive.key(rf"{control}\Session Manager\Environment"), "PROCESSOR_ARCHITECTURE")
        languages = hive.key(rf"{control}\MUI\UILanguages")
        names = hive.names(languages) if languages else []
        told = hive.value(hive.key("Setup"), "UnattendFile")
    return Installation(
        version=major.number if major else _major(older),
        state=state.text if state else "",
        architecture=_architecture(processor),
        language=next((name for name in names if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", name)), "en-US"),
        answer_file=told.text if told else "",
    )


def accounts(root: Root) -> dict[str, int]:
    """The names of the guest's own users, in small letters, and their relative identifiers."""
    with opened(root, ACCOUNTS) as hive:
        path = r"SAM\Domains\Account\Users\Names"
        key = hive.key(path)
        if key is None:
            raise TaskError("the guest's accounts database (SAM) names no users")
        # The type of a name's unnamed value is the number of the account.
        found = {name.lower(): hive.value(hive.key(rf"{path}\{name}"), "") for name in hive.names(key)}
    return {name: value.kind for name, value in found.items() if value is not None}


def close_remote_desktop(root: Root) -> bool:
    """Have the guest refuse connections by Remote Desktop. Returns whether it took them before."""
    with opened(root, SYSTEM, write=True) as hive:
        values = {name: _deny(hive, name) for name in _control_sets(hive)}
        before = values.get(control_set(hive))
        for value in values.values():
            if value is not None and value.number != 1:
                hive.set_number(value, 1)
    return before is not None and before.number == 0


def control_set(hive: Hive) -> str:
    """The name of the control set that the guest will start with. Raises TaskError."""
    default = hive.value(hive.key("Select"), "Default")
    if default is None:
        raise TaskError("the guest's registry does not say which control set it starts with")
    return f"ControlSet{default.number:03}"


def _deny(hive: Hive, control_set: str) -> Value | None:
    """The value that closes Remote Desktop; None where there is no such service."""
    key = hive.key(rf"{control_set}\Control\Terminal Server")
    value = hive.value(key, _DENY)
    if key is not None and value is None:
        raise TaskError(
            f"{control_set} of the guest does not say {_DENY}: set it in the image, "
            "or exclude DisableRemoteDesktopConnections"
        )
    return value


def _control_sets(hive: Hive) -> list[str]:
    top = hive.key("")
    names = hive.names(top) if top else []
    return [name for name in names if re.fullmatch(r"ControlSet\d{3}", name, re.IGNORECASE)]


def _architecture(value: Value | None) -> str:
    text = value.text.upper() if value else ""
    if text not in _ARCHITECTURES:
        raise TaskError(
            f"the guest's registry says it is made for the processor {text[:32]!r}, which is not known here"
        )
    return _ARCHITECTURES[text]


def _major(value: Value | None) -> int:
    text = value.text.partition(".")[0] if value else ""
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
