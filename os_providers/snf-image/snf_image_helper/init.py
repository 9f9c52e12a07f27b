# SPDX-License-Identifier: BSD-2-Clause
"""Process 1 of the helper machine: it makes the machine usable, has the job done, and switches the machine off."""

from __future__ import annotations

import os
import sys

from snf_image_helper import devices, kernel, modules, mounting, programs
from snf_image_helper.channel import Channel
from snf_image_helper.job import Job
from snf_image_helper.runner import Runner, reason

# The root of this machine is read-only.
_MOUNTS = (
    ("devtmpfs", "/dev", kernel.NOSUID | kernel.NOEXEC),
    ("proc", "/proc", kernel.UNTRUSTED),
    ("sysfs", "/sys", kernel.UNTRUSTED),
    ("tmpfs", "/run", kernel.UNTRUSTED),
    ("tmpfs", "/tmp", kernel.UNTRUSTED),
)
_JOB_BYTES = 64 << 20


def main() -> None:
    """Never returns: without process 1 the kernel panics."""
    try:
        _serve()
    except BaseException as error:  # noqa: BLE001 - there is no port yet to tell it on, but the console
        sys.stderr.write(f"{reason(error)}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.sync()
        kernel.power_off()


def _serve() -> None:
    for kind, target, flags in _MOUNTS:
        kernel.mount(kind, target, kind, flags)
    os.umask(0o022)
    os.mkdir(mounting.ROOT, 0o700)
    modules.load(modules.BOOT)
    port = os.open(devices.port(), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    runner = Runner(Channel(port), programs.run)
    try:
        serials = devices.by_serial()
        job = _job(devices.job_disk(serials))
        disks = devices.instance_disks(serials, job.disks)
    except Exception as error:  # noqa: BLE001 - whatever it is, the node is to hear of it
        runner.failed(error)
        return
    runner.deploy(job, disks)


def _job(device: str) -> Job:
    with open(device, "rb") as stream:
        return Job.decode(stream.read(_JOB_BYTES))
