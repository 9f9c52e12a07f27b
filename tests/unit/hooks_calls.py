# SPDX-License-Identifier: BSD-2-Clause
"""Calls of hooks: environments as Ganeti made them, and the program as Ganeti calls it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ganeti_cloud.messages import Event, decode

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "data" / "hooks"
CANARY = "canary"
"""In the recordings, where a hypervisor has its passwords."""


def recordings() -> dict[str, dict[str, str]]:
    """Recorded environments by "VERSION HOOK": of each hook the call with most NICs, those of Ganeti 3.1 before 3.0.2.

    A variable of the second phase that is as before has no value in the file; parameters of hypervisors are left out.
    """
    found = {}
    for path in sorted(FOLDER.iterdir()):
        version = path.stem.removeprefix("ganeti-")
        for part in path.read_text(encoding="utf-8").removeprefix("# ").rstrip("\n").split("\n\n# "):
            name, *lines = part.split("\n")
            said: dict[str, str] = {}
            for line in lines:
                key, separator, value = line.partition("=")
                said[key] = value if separator else said[key.replace("_POST_", "_", 1)]
            found[f"{version} {name}"] = said
    return found


RECORDINGS = recordings()


class Node(NamedTuple):
    """What the program finds on its node: a *folder* with the spool and all the rest."""

    folder: Path

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def stamps(self) -> Path:
        return self.folder / "stamps"

    def made(self) -> Node:
        """With empty folders."""
        self.spool.mkdir()
        self.stamps.mkdir()
        return self

    def program(self, *, tell_s: float = 5.0, release_s: float = 45.0) -> Path:
        """The program of the package, with the modules of this tree and this node's places."""
        places = (
            f"Places(Path({str(self.spool)!r}), Path({str(self.stamps)!r}),"
            f" {str(self.folder / 'hooks.toml')!r}, {str(self.folder / 'release')!r})"
        )
        text = (ROOT / "ganeti_hooks" / "scripts" / "hook").read_text(encoding="utf-8")
        text = text.replace('"/usr/lib/python3/dist-packages"', repr(str(ROOT))).replace("Places()", places)
        limits = f"    from pathlib import Path\n    from ganeti_hooks import entry\n    entry.TELL_S = {tell_s}\n"
        limits += f"    entry.RELEASE_S = {release_s}\n"
        path = self.folder / "hook"
        path.write_text(text.replace("    main(", f"{limits}    main(", 1), encoding="utf-8")
        path.chmod(0o755)
        return path

    def call(
        self, environ: Mapping[str, str] | Mapping[bytes, bytes], **limits: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the program as Ganeti does."""
        argv = [self.program(**limits)]
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, env=environ, cwd="/", timeout=60, check=False
        )

    def events(self) -> list[Event]:
        """What is in the spool, in order."""
        return [decode(path.read_text(encoding="utf-8")) for path in sorted(self.spool.glob("*.json"))]


def on_master(name: str, **changed: str) -> dict[str, str]:
    """The recording *name* as if this machine were the master."""
    said = {key: value for key, value in RECORDINGS[name].items() if key not in changed}
    return {**said, "GANETI_MASTER": os.uname().nodename, "PATH": "/sbin:/bin:/usr/sbin:/usr/bin", **changed}
