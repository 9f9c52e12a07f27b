# SPDX-License-Identifier: BSD-2-Clause
"""Debian's archive, from where this machine has its packages: by apt with a state of its own, so that what is installed
here does not count, and no root is needed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ganeti_cloud.errors import CloudError, CommandError
from ganeti_cloud.process import run

_UPDATE_S = 300.0
_FETCH_S = 900.0
_RESOLVE_S = 120.0
# A list that is younger is not asked for again.
_FRESH_S = 6 * 3600.0
_HINT = "building the helper image needs Debian's archive: see http_proxy, and /etc/apt/apt.conf.d for a proxy of apt"

_INSTALLED = re.compile(r"^Inst (\S+) \((\S+) ", re.MULTILINE)


class Package(NamedTuple):
    """A binary package in one version."""

    name: str
    version: str

    @property
    def file(self) -> str:
        """The name that apt gives its file, up to the architecture."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_"


class Archive:
    """The packages that this machine's sources offer, see sources.list(5); all that is fetched is kept in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        for name in ("lists/partial", "archives/partial"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()

    def update(self) -> None:
        """Fetch the lists of packages, unless that was done just now. Raises CommandError."""
        stamp = self._folder / "updated"
        if stamp.exists() and 0 <= time.time() - stamp.stat().st_mtime < _FRESH_S:
            return
        self._apt("update", "-o", "APT::Update::Error-Mode=any", timeout_s=_UPDATE_S)
        stamp.touch()

    def resolve(self, names: Sequence[str]) -> list[Package]:
        """The newest version of all of *names* and of what they need, sorted."""
        said = self._apt("--simulate", "install", *names, timeout_s=_RESOLVE_S)
        return sorted(Package(*found) for found in _INSTALLED.findall(said))

    def fetch(self, packages: Sequence[Package]) -> dict[Package, Path]:
        """The files of *packages*, their checksums verified by apt. Others, of older versions, are thrown away."""
        self._apt(
            "--download-only", "install", *(f"{name}={version}" for name, version in packages), timeout_s=_FETCH_S
        )
        there = {path.name.rpartition("_")[0] + "_": path for path in self._archives.glob("*.deb")}
        missing = [package.name for package in packages if package.file not in there]
        if missing:
            raise CloudError(f"apt did not fetch {', '.join(missing)}", hint=_HINT)
        found = {package: there[package.file] for package in packages}
        for path in set(there.values()) - set(found.values()):
            path.unlink()
        return found

    @property
    def _archives(self) -> Path:
        return self._folder / "archives"

    def _apt(self, *words: str, timeout_s: float) -> str:
        own = {
            "Dir::State": self._folder,
            "Dir::State::lists": self._folder / "lists",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder,
            "Dir::Cache::archives": self._archives,
            "APT::Architecture": "amd64",
            "APT::Install-Recommends": "false",
            # The folder is ours, and apt's own user may not come near it.
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
            "APT::Update::Post-Invoke-Success::": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Debug::NoLocking": "true",
        }
        options = [word for key, value in own.items() for word in ("-o", f"{key}={value}")]
        argv = ["apt-get", "--quiet=2", "--yes", *options, *words]
        shown = f"apt-get {' '.join(words[:2])} for the helper image"
        try:
            return run(argv, timeout_s=timeout_s, env=_proxies(), hint=_HINT, shown=shown)
        except CommandError:
            (self._folder / "updated").unlink(missing_ok=True)
            raise


def _proxies() -> dict[str, str]:
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {name: os.environ[name] for name in names if name in os.environ}
