# SPDX-License-Identifier: BSD-2-Clause
"""Programs that read what strangers have made: they see one file of this machine, no network, and have little memory.

See bwrap(1) and prlimit(1). A user namespace is not asked for: as root none is needed, some kernels refuse it, and in
one the file of another user could not be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# Where the file is within the confinement, and the folder that may be written to.
FILE = "/file"
FOLDER = "/folder"

# qemu reserves much more than it uses.
_ADDRESS_SPACE = 4 << 30
_CPU_S = 6 * 3600

_NAMESPACES = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
_SYSTEM = ["--ro-bind", "/usr", "/usr", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/"]
_LINKS = ("bin", "sbin", "lib", "lib64")


def confined(argv: Sequence[str], *, file: Path | None = None, folder: Path | None = None) -> list[str]:
    """*argv*, to be run as root where :data:`FILE` is *file*, to be read, and :data:`FOLDER` is *folder*."""
    limits = ["prlimit", f"--as={_ADDRESS_SPACE}", f"--cpu={_CPU_S}", "--core=0", "--"]
    bwrap = ["bwrap", *_NAMESPACES, "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    # The file may belong to a user who shows it to nobody else; nothing else of that user is there.
    bwrap += ["--cap-add", "CAP_DAC_READ_SEARCH", *_SYSTEM]
    for name in _LINKS:
        bwrap += ["--symlink", f"usr/{name}", f"/{name}"]
    if file is not None:
        bwrap += ["--ro-bind", str(file.absolute()), FILE]
    if folder is not None:
        bwrap += ["--bind", str(folder.absolute()), FOLDER]
    return [*limits, *bwrap, "--", *argv]
