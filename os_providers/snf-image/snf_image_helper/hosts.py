# SPDX-License-Identifier: BSD-2-Clause
"""The guest's name: where Linux systems keep it."""

from __future__ import annotations

import re

from snf_image_helper.root import Root
from snf_image_helper.task import TaskError

HOSTS = "/etc/hosts"
HOSTNAME = "/etc/hostname"

# Files of older systems, changed where they are, with the line that holds the name: Gentoo's, Red Hat's.
_LINES = {
    "/etc/conf.d/hostname": (re.compile(r"^\s*hostname=.*$", re.MULTILINE), 'hostname="{}"'),
    "/etc/sysconfig/network": (re.compile(r"^\s*HOSTNAME=.*$", re.MULTILINE), "HOSTNAME={}"),
}
# SUSE's, where it is no link to the usual one.
_SUSE = "/etc/HOSTNAME"
_DEFAULT_HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
# Not only what RFC 1123 allows but what is safe in the shell syntax of the files above.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def assign(root: Root, name: str) -> None:
    """Call the guest *name*."""
    if _NAME.fullmatch(name) is None or ".." in name:
        raise TaskError(f"{name!r} is no name for a host")
    root.make_folders("/etc")
    root.write_text(HOSTNAME, name + "\n")
    if root.exists(_SUSE) and root.link_text(_SUSE) is None:
        root.write_text(_SUSE, name + "\n")
    for path, (line, new) in _LINES.items():
        if root.exists(path):
            root.write_text(path, line.sub(new.format(name), root.read_text(path)))
    hosts = root.read_text(HOSTS) if root.exists(HOSTS) else _DEFAULT_HOSTS
    root.write_text(HOSTS, with_own_name(hosts, name))


def with_own_name(text: str, name: str) -> str:
    """The hosts file with *name*, and its first part, at 127.0.1.1: a host must know its own name without a network."""
    short = name.partition(".")[0]
    own = f"127.0.1.1\t{name}" + (f" {short}" if short != name else "")
    lines = text.splitlines()
    addresses = [(line.split() or [""])[0] for line in lines]
    if "127.0.1.1" in addresses:
        first = addresses.index("127.0.1.1")
        lines = [line for line, address in zip(lines, addresses, strict=True) if address != "127.0.1.1"]
    else:
        first = addresses.index("127.0.0.1") + 1 if "127.0.0.1" in addresses else len(lines)
    return "\n".join([*lines[:first], own, *lines[first:]]) + "\n"
