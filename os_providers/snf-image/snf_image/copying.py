# SPDX-License-Identifier: BSD-2-Clause
"""Bringing an image onto a disk, by qemu-img(1), which leaves zeros to the disk where it can make them itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from ganeti_cloud.errors import RequestError
from ganeti_cloud.process import follow, run
from snf_image.opening import Image
from snf_image.targets import Target

_INFO_S = 60.0
_WIPE_S = 60.0
_MIB = 1 << 20
_PERCENT = re.compile(r"\((\d{1,3}\.\d\d)/100%\)")

# Whatever ends this process ends what it has started.
_WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"]


def copy(image: Image, target: Target, limit_s: float, on_position: Callable[[int], None]) -> None:
    """Make *target* begin with *image*; *on_position* is told how many bytes of it are done.

    Raises RequestError when the disk is too small, and CommandError.
    """
    room = size(target.options)
    if room < image.size:
        raise RequestError(
            f"{image.shown} is {shown_size(image.size)} large and does not fit on {target.shown}, "
            f"which is {shown_size(room)}",
            hint=f"give the disk {-(-image.size // _MIB)} MiB or more",
        )
    argv = [*_WITH_US, "qemu-img", "convert", "-n", "-p", "-t", target.cache, "--image-opts", "--target-image-opts"]
    percent = Percent()

    def read(text: str) -> None:
        done = percent.read(text)
        if done is not None:
            on_position(int(image.size * done / 100))

    shown = f"qemu-img convert to {target.shown}"
    follow([*argv, image.options, target.options], read, timeout_s=limit_s, shown=shown)
    _wipe_end(target, image.size, room)
    on_position(image.size)


def _wipe_end(target: Target, begin: int, end: int) -> None:
    """Take away what an earlier system left at the end of the disk: there GPT has its backup, and md its records."""
    begin = max(begin, end - _MIB)
    if begin < end:
        argv = [*_WITH_US, "qemu-io", "-t", target.cache, "--image-opts", "-c", f"write -q -z {begin} {end - begin}"]
        run([*argv, "-c", "flush", target.options], timeout_s=_WIPE_S, shown=f"qemu-io on {target.shown}")


def size(options: str) -> int:
    """The size in bytes of what the tools of QEMU know as *options*. Raises CommandError."""
    argv = ["qemu-img", "info", "--output=json", "--image-opts", options]
    return int(json.loads(run(argv, timeout_s=_INFO_S, shown="qemu-img info"))["virtual-size"])


def shown_size(count: int) -> str:
    """*count* bytes, for a person."""
    return f"{count // _MIB} MiB" if count % _MIB == 0 else f"{count} bytes"


class Percent:
    """Reads the progress of qemu-img, which comes in pieces."""

    def __init__(self) -> None:
        self._left = ""

    def read(self, text: str) -> float | None:
        """The last percentage in what has come so far, if *text* completes one."""
        self._left = (self._left + text)[-64:]
        found = _PERCENT.findall(self._left)
        if not found:
            return None
        self._left = self._left.rpartition("%)")[2]
        return min(100.0, float(found[-1]))
