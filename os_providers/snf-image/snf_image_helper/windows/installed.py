# SPDX-License-Identifier: BSD-2-Clause
"""The answer file in the guest: where Windows looks for one, which it takes, and the one that was put there."""

from __future__ import annotations

from snf_image_helper.root import Root
from snf_image_helper.task import TaskError, Work
from snf_image_helper.windows.answer_file import AnswerFile
from snf_image_helper.windows.registry import Installation, installation

# In the order in which Windows takes them ("Methods for running Windows Setup"), without drives that are not there.
# Before these comes what HKLM\SYSTEM\Setup names as UnattendFile.
PLACES = (
    "Windows/Panther/Unattend/Unattend.xml",
    "Windows/Panther/Unattend/Autounattend.xml",
    "Windows/Panther/Unattend.xml",
    "Windows/Panther/Autounattend.xml",
    "Windows/System32/Sysprep/Unattend.xml",
    "Unattend.xml",
    "Autounattend.xml",
)


def place(windows: Installation) -> str:
    """Where Windows looks first. Raises TaskError when that is a place that cannot be used."""
    if not windows.answer_file:
        return PLACES[0]
    drive, _, told = windows.answer_file.replace("\\", "/").partition("/")
    for path in PLACES:
        if drive.upper() == "C:" and told.lower() == path.lower():
            return path
    raise TaskError(
        f"the registry has Windows take the answer file {windows.answer_file[:100]!r}: "
        r"delete the value UnattendFile of HKLM\SYSTEM\Setup in the image"
    )


def own(root: Root, first: str) -> bytes | None:
    """The image's own answer file: that at *first*, or else the one that Windows would take; None without any."""
    for path in (first, *PLACES):
        if root.exists(path):
            return root.read(path)
    return None


def load(work: Work) -> tuple[str, AnswerFile]:
    """Where the answer file of this deployment is, and what is in it. Raises TaskError when there is none."""
    windows = installation(work.root)
    path = place(windows)
    if not work.root.exists(path):
        raise TaskError(
            "there is no answer file to write into, as InstallUnattend was left out: leave this out as well"
        )
    return path, AnswerFile.parse(work.root.read(path), windows.architecture)


def save(work: Work, path: str, answers: AnswerFile) -> None:
    """Put *answers* into the guest."""
    work.root.make_folders(path.rpartition("/")[0])
    work.root.write(path, answers.encode(), mode=0o600)
