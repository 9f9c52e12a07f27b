# SPDX-License-Identifier: BSD-2-Clause
"""What the numbers were measured on and with."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from bench.site import Site
from ganeti_cloud.process import run

_STEP_S = 30.0
_PACKAGES = {
    "ganeti": "ganeti",
    "ceph": "ceph-common",
    "python": "python3",
    "qemu": "qemu-utils",
    "ganeti-cloud": "ganeti-extstorage-archipelago",
}


def machine() -> dict[str, str | int]:
    """Processor, cores, memory and kernel of this machine, which the nodes share."""
    return {
        "cpu": _field(Path("/proc/cpuinfo"), "model name"),
        "cores": os.cpu_count() or 0,
        "memory_mib": int(_field(Path("/proc/meminfo"), "MemTotal").split()[0]) // 1024,
        "kernel": platform.release(),
    }


def versions(site: Site) -> dict[str, str]:
    """The release of the node, and the versions of what was measured in it."""
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n", *_PACKAGES.values()]
    installed = dict(line.split(" ", 1) for line in site.node.run(query, timeout_s=_STEP_S).splitlines())
    return {
        "release": site.lab.spec.release.value,
        **{name: installed[package] for name, package in _PACKAGES.items()},
    }


def versions_here(packages: Sequence[str]) -> dict[str, str]:
    """Of the *packages* of this machine, and of its Python. Raises CommandError when one is not installed."""
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n", *packages]
    said = run(query, timeout_s=_STEP_S, hint="make setup installs it")
    return {"python": platform.python_version(), **dict(line.split(" ", 1) for line in said.splitlines())}


def _field(path: Path, key: str) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"
