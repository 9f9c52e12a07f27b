# SPDX-License-Identifier: BSD-2-Clause
"""What this node remembers of its attached volumes, and the answer of ``attach`` that needs nothing else.

Ganeti calls ``attach`` up to ten times for one operation, so a volume that is attached already is answered from one
small file, if the kernel's own tables still say what that file says. This module imports ``os`` alone: every other
import would cost more than the answer.

A record is a text file: the *fingerprint* of the request, the number of *evidence* lines, each ``file<TAB>content``,
and then the answer as Ganeti reads it.
"""

import os
from collections.abc import Mapping

RUN_FOLDER = "/run/ganeti-cloud/archipelago"
CONFIG_FILE = "/etc/ganeti-cloud/archipelago.toml"
GANETI = "/usr/share/ganeti/default"

Evidence = list[tuple[str, str]]


def record_path(volume: str, folder: str = RUN_FOLDER) -> str:
    """Where the record of *volume* is."""
    return f"{folder}/{volume}.attached"


def quick_answer(env: Mapping[str, str], folder: str = RUN_FOLDER) -> str | None:
    """The answer to this ``attach``, or None when it has to be found out the long way."""
    volume = env.get("VOL_NAME", "")
    if not volume or "/" in volume:
        return None
    record = read(volume, folder)
    if record is None:
        return None
    known, evidence, answer = record
    return answer if known == fingerprint(env) and holds(evidence) else None


def read(volume: str, folder: str = RUN_FOLDER) -> tuple[str, Evidence, str] | None:
    """The fingerprint, evidence and answer in the record of *volume*; None without a whole record."""
    try:
        with open(record_path(volume, folder), encoding="utf-8") as stream:
            known = stream.readline().rstrip("\n")
            evidence = []
            for _ in range(int(stream.readline())):
                path, tab, content = stream.readline().rstrip("\n").partition("\t")
                if not tab:
                    return None
                evidence.append((path, content))
            answer = stream.read()
            return (known, evidence, answer) if answer.endswith("\n") else None
    except (OSError, ValueError):
        return None


def forget(volume: str, folder: str = RUN_FOLDER) -> None:
    """Have no record of *volume*: the next ``attach`` finds everything out again."""
    try:
        os.unlink(record_path(volume, folder))
    except FileNotFoundError:
        pass


def encode(known: str, evidence: Evidence, answer: str) -> str:
    """The text of a record."""
    lines = [known, str(len(evidence)), *(f"{path}\t{content}" for path, content in evidence)]
    return "\n".join(lines) + "\n" + answer


def fingerprint(env: Mapping[str, str], config: str = CONFIG_FILE, ganeti: str = GANETI) -> str:
    """One line that changes with whatever the answer depends on: the disk's parameters, the config file, Ganeti."""
    try:
        state = os.stat(config)
        seen = f"{state.st_ino}:{state.st_size}:{state.st_mtime_ns}"
    except OSError:
        seen = "-"
    parameters = sorted((key, value) for key, value in env.items() if key.startswith("EXTP_"))
    return repr((seen, os.path.realpath(ganeti), parameters))


def holds(evidence: Evidence) -> bool:
    """Whether each file of *evidence* still has its content. These are files of the kernel: reading never waits."""
    return bool(evidence) and all(content_of(path) == content for path, content in evidence)


def content_of(path: str) -> str | None:
    """What *path* says now, without white space around it; of ``/proc/<pid>/stat`` the start time alone.

    A process id is used again, but not with the same start time. (/proc/<pid>/cmdline would name the process too, but
    reading it can wait for the process's memory map.)
    """
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, ValueError):
        return None
    if path.startswith("/proc/"):
        return text.rpartition(")")[2].split()[19]  # proc(5): field 22, counted from behind the command name
    return text.strip()
