# SPDX-License-Identifier: BSD-2-Clause
"""The keys by which the guest's sshd proves who it is: each machine must have its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from snf_image_helper import scratch
from snf_image_helper.root import Root
from snf_image_helper.sshd import FOLDER, SshdSettings
from snf_image_helper.task import Run

_NAME = re.compile(r"ssh_host_.*key(-cert)?(\.pub)?")
_TYPE = re.compile(r".*/ssh_host_(ed25519|ecdsa|rsa)_key")

# In the order of sshd's own list. Three to five seconds of an emulated processor go into an RSA key, and every client
# of the last ten years takes one of the others: it is made when the image offers nothing else.
QUICK = ("ed25519", "ecdsa")
RSA = "rsa"


def found(root: Root, sshd: SshdSettings) -> list[str]:
    """The key files of the image, public ones and certificates too."""
    usual = [f"{FOLDER}/{name}" for name in root.names(FOLDER) if _NAME.fullmatch(name)]
    named = [f"{key}{end}" for key in sshd.host_keys if key.startswith("/") for end in ("", ".pub", "-cert.pub")]
    named = [path for path in named if root.link_text(path) is not None or root.exists(path)]
    return list(dict.fromkeys([*usual, *named]))


def to_make(there: Iterable[str], sshd: SshdSettings) -> dict[str, str]:
    """The types of key to be made, each with its file: those that sshd is told of, else those that were *there*.

    An image without either gets the quick ones under sshd's own names. Where it is told of a name that says nothing,
    the first gets the type that every sshd takes.
    """
    offered = sshd.host_keys or tuple(there)
    types = {match[1]: path for path in offered if (match := _TYPE.fullmatch(path))}
    if not types and sshd.host_keys:
        return {QUICK[0]: sshd.host_keys[0]}
    if not types:
        return {kind: f"{FOLDER}/ssh_host_{kind}_key" for kind in QUICK}
    quick = {kind: types[kind] for kind in QUICK if kind in types}
    return quick or {RSA: types[RSA]}


def make(root: Root, run: Run, keys: dict[str, str], comment: str) -> None:
    """Make a key of each type in *keys* with our own ssh-keygen: nothing of the guest is run."""
    with scratch.folder() as folder:
        for kind, path in keys.items():
            root.make_folders(path.rpartition("/")[0] or "/")
            private = f"{folder}/{kind}"
            run(_command(kind, private, comment), timeout_s=120)
            for end, mode in (("", 0o600), (".pub", 0o644)):
                with open(private + end, "rb") as stream:
                    root.write(path + end, stream.read(), mode=mode, owner=0, group=0)


def _command(kind: str, path: str, comment: str) -> Sequence[str]:
    return ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", path]
