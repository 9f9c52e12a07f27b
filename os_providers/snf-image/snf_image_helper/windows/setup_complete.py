# SPDX-License-Identifier: BSD-2-Clause
"""What Windows runs as its system user once it is set up, before anybody can log in.

Its own word for it is SetupComplete.cmd. An image may have such a file; ours is called by it. Only fixed text gets
into these scripts: what comes from outside stands in the answer file, as XML.
"""

from __future__ import annotations

from snf_image_helper.root import Root

FOLDER = "Windows/Setup/Scripts"
SCRIPT = f"{FOLDER}/snf-image.cmd"

_HOOK = f"{FOLDER}/SetupComplete.cmd"
_CALL = b'@call "%~dp0snf-image.cmd" & del /f /q "%~dp0snf-image.cmd"\r\n'


def start(root: Root) -> None:
    """Have Windows run an empty script of ours, before what the image's own does."""
    root.make_folders(FOLDER)
    root.write(SCRIPT, b"@echo off\r\n")
    there = root.read(_HOOK) if root.exists(_HOOK) else b""
    root.write(_HOOK, _CALL + there.replace(_CALL, b""))


def is_started(root: Root) -> bool:
    """Whether Windows is to run a script of ours."""
    return root.exists(SCRIPT)


def add(root: Root, *commands: str) -> None:
    """Add *commands* to our script."""
    lines = "".join(f"{command}\r\n" for command in commands)
    root.write(SCRIPT, root.read(SCRIPT) + lines.encode("ascii"))


def delete(path: str) -> str:
    """The command that deletes the guest's file *path*."""
    return f'del /f /q "%SystemDrive%\\{path.replace("/", chr(92))}"'
