# SPDX-License-Identifier: BSD-2-Clause
"""Scripted executables in place of the programs that the code under test runs."""

from __future__ import annotations

import shlex
from pathlib import Path


class FakeTool:
    """One scripted program; it keeps the arguments of each call."""

    def __init__(self, record: Path) -> None:
        self._record = record

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call so far, without the name of the program."""
        if not self._record.exists():
            return []
        words = self._record.read_text().split("\0")[:-1]
        calls = []
        while words:
            end = 1 + int(words[0])
            calls.append(words[1:end])
            words = words[end:]
        return calls


class FakeTools:
    """Puts scripted programs into *folder*, which is the whole PATH of a unit test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, *, says: str = "", complains: str = "", status: int = 0, does: str = "") -> FakeTool:
        """The program *name*: runs the shell lines *does*, prints *says*, *complains* on stderr, ends with *status*.

        Its PATH is as empty as that of the test, so *does* calls programs by their absolute paths.
        """
        program, record = self.folder / name, self.folder / f".{name}.calls"
        program.write_text(
            "#!/bin/sh\n"
            f'printf \'%s\\0\' "$#" "$@" >>{shlex.quote(str(record))}\n'
            f"{does}\n"
            f"printf %s {shlex.quote(says)}\n"
            f"printf %s {shlex.quote(complains)} >&2\n"
            f"exit {status}\n"
        )
        program.chmod(0o755)
        return FakeTool(record)
