# SPDX-License-Identifier: BSD-2-Clause
"""InstallUnattend: the answer file with which a Windows guest makes itself this instance when it starts first."""

from __future__ import annotations

from snf_image_helper.properties import truth
from snf_image_helper.task import WINDOWS, TaskError, Work
from snf_image_helper.windows import installed, setup_complete
from snf_image_helper.windows.answer_file import INTERNATIONAL, OOBE, SHELL, SPECIALIZE, AnswerFile
from snf_image_helper.windows.registry import GENERALIZED, Installation, installation

_VISTA = 6  # before it there were no answer files of this kind

# The partition was enlarged already, so it is the file system alone that diskpart extends.
_EXTEND = f"{setup_complete.FOLDER}/ExtendFilesystem.txt"
_DISKPART = b"select volume C\r\nextend filesystem\r\nexit\r\n"
# Setup ends for good when a command fails; a disk that was not larger is no reason for that.
_EXTEND_COMMAND = r'cmd.exe /c "diskpart.exe /s %SystemRoot%\Setup\Scripts\ExtendFilesystem.txt & exit 0"'

_NOT_GROWN = ("OFFLINE_NTFSRESIZE", "EXCLUDE_FILESYSTEMRESIZE_TASKS")


def run(work: Work) -> None:
    """Put the answer file there: the one that was given, or the image's own, or a new one.

    What it lacks is added: the product key, the growth of the system volume, and a script that removes the file when
    it has done its work. Names and passwords are the affair of later tasks.
    """
    if work.family != WINDOWS:
        return
    windows = installation(work.root)
    _check(windows)
    path = installed.place(windows)
    answers = _chosen(work, windows, path)
    answers.forget_what_was_done()
    if work.job.product_key:
        answers.set(SPECIALIZE, SHELL, "ProductKey", work.job.product_key)
    setup_complete.start(work.root)
    setup_complete.add(work.root, setup_complete.delete(path))
    if _grows(work):
        work.root.write(_EXTEND, _DISKPART)
        answers.run(_EXTEND_COMMAND, "Extend the file system of the system volume")
        setup_complete.add(work.root, setup_complete.delete(_EXTEND))
    installed.save(work, path, answers)


def _check(windows: Installation) -> None:
    if windows.version < _VISTA:
        raise TaskError("the guest is older than Windows Vista and Server 2008: such are not supported")
    if windows.state != GENERALIZED:
        raise TaskError(
            f"Windows would not read an answer file: its state is {windows.state[:64] or 'unknown'}. "
            "Run sysprep /generalize /oobe /shutdown in the image, or leave this out to set passwords alone"
        )


def _chosen(work: Work, windows: Installation, path: str) -> AnswerFile:
    given = work.job.answer_file
    if given:
        return AnswerFile.parse(given, windows.architecture)
    raw = None if truth(work.properties, "IGNORE_UNATTEND") else installed.own(work.root, path)
    return _new(work.job.time_zone, windows) if raw is None else AnswerFile.parse(raw, windows.architecture)


def _new(time_zone: str, windows: Installation) -> AnswerFile:
    """An answer file with which Windows asks nothing."""
    answers = AnswerFile(windows.architecture)
    if time_zone:
        answers.set(SPECIALIZE, SHELL, "TimeZone", time_zone)
    for name in ("InputLocale", "SystemLocale", "UILanguage", "UserLocale"):
        answers.set(OOBE, INTERNATIONAL, name, windows.language)
    for name, value in (
        ("HideEULAPage", "true"),
        ("HideLocalAccountScreen", "true"),
        ("HideOEMRegistrationScreen", "true"),
        ("HideOnlineAccountScreens", "true"),
        ("HideWirelessSetupInOOBE", "true"),
        ("ProtectYourPC", "3"),  # no automatic settings: what is updated when is left to the owner
    ):
        answers.set(OOBE, SHELL, f"OOBE/{name}", value)
    return answers


def _grows(work: Work) -> bool:
    """Whether Windows is to grow its volume itself, which it does unless that is done here or not wanted."""
    excluded = "filesystemresizemounted" in {name.lower() for name in work.job.excluded}
    return not excluded and not any(truth(work.properties, key) for key in _NOT_GROWN)
