# SPDX-License-Identifier: BSD-2-Clause
"""The command line of the machine's QEMU. See qemu(1); nothing in it is secret, as every user can read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from snf_image_helper.job import DISK_SERIAL, JOB_SERIAL
from snf_image_helper.lines import PORT

QEMU = "/usr/bin/qemu-system-x86_64"

# Where the two parts of the helper image are for QEMU.
KERNEL = "/vmlinuz"
ROOT = "/root.ext4"

KVM = "kvm"
TCG = "tcg"
# TCG's cache of translated code would be a quarter of the node's memory otherwise.
_ACCELERATORS = {KVM: ("kvm", "host"), TCG: ("tcg,tb-size=64", "max")}

# Sets of files have numbers; the disks of the instance have theirs from 0 on.
_JOB_SET = 100

# Without what the machine does not have: a keyboard controller, USB, VMware's port, HPET.
_MACHINE = "q35,i8042=off,usb=off,vmport=off,hpet=off,dump-guest-core=off"

# By seccomp: QEMU starts no program, becomes no other user, and gives itself no priority.
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

# What the kernel sets up for tracing, for BPF programs and to show its allocator: nobody asks for it in this machine,
# and under emulation it is a fifth of the time to the first process. A name that a kernel does not have is passed over.
_NOT_SET_UP = (
    "trace_eval_init,tracer_init_tracefs,init_blk_tracer,init_kprobe_trace,init_uprobe_trace,init_dynamic_event,"
    "cubictcp_register,bpf_rstat_kfunc_init,bpf_prog_test_run_init,kfunc_init,bpf_key_sig_kfuncs_init,"
    "bpf_tcp_ca_kfunc_init,slab_sysfs_init,blake2s_mod_init,load_system_certificate_list"
)

# panic=-1 with -no-reboot ends QEMU at once. Self-tests of the ciphers are 0.3 s under emulation. Python is process 1:
# what stands behind "--" are its arguments.
_KERNEL_LINE = (
    "console=ttyS0 quiet panic=-1 cryptomgr.notests no_timer_check apparmor=0 audit=0 nowatchdog lsm="
    f" initcall_blacklist={_NOT_SET_UP}"
    " root=/dev/nvme0n1 rootfstype=ext4 rootwait ro LC_ALL=C.UTF-8 PATH=/usr/bin"
    " init=/usr/bin/python3 -- -I -S /usr/lib/snf-image-helper/main.pyc"
)


class DiskWire(NamedTuple):
    """A disk of the instance as QEMU gets it: *fd* is open for reading and writing, or connected to an NBD server.

    *kind* is the block driver for it: host_device, file or nbd.
    """

    kind: str
    fd: int
    cache: str


class Wires(NamedTuple):
    """The open files that QEMU inherits; port, console and monitor are connected sockets."""

    job: int
    port: int
    console: int
    monitor: int
    disks: Sequence[DiskWire]

    @property
    def all(self) -> list[int]:
        return [self.job, self.port, self.console, self.monitor, *(disk.fd for disk in self.disks)]


def qemu(wires: Wires, *, accelerator: str, memory_mib: int) -> list[str]:
    """The whole command."""
    accel, processor = _ACCELERATORS[accelerator]
    argv = [QEMU, "-name", "snf-image-helper", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-sandbox", _SANDBOX, "-machine", _MACHINE, "-accel", accel, "-cpu", processor, "-smp", "1"]
    argv += ["-m", str(memory_mib), "-kernel", KERNEL, "-append", _KERNEL_LINE]
    argv += _sockets(wires)
    argv += ["-blockdev", f"driver=file,node-name=root-file,filename={ROOT},read-only=on"]
    argv += [
        "-blockdev",
        "driver=raw,node-name=root,file=root-file,read-only=on",
        "-device",
        "nvme,drive=root,serial=root",
    ]
    argv += ["-add-fd", f"fd={wires.job},set={_JOB_SET}"]
    argv += ["-blockdev", f"driver=file,node-name=job-file,filename=/dev/fdset/{_JOB_SET},read-only=on,locking=off"]
    argv += ["-blockdev", "driver=raw,node-name=job,file=job-file,read-only=on"]
    argv += ["-device", f"virtio-blk-pci,drive=job,serial={JOB_SERIAL}"]
    for number, disk in enumerate(wires.disks):
        argv += _disk(number, disk)
    return argv


def _sockets(wires: Wires) -> list[str]:
    argv = ["-chardev", f"socket,id=console,fd={wires.console}", "-serial", "chardev:console"]
    argv += ["-device", "virtio-serial-pci", "-chardev", f"socket,id=port,fd={wires.port}"]
    argv += ["-device", f"virtserialport,chardev=port,name={PORT}"]
    return [*argv, "-chardev", f"socket,id=monitor,fd={wires.monitor}", "-mon", "chardev=monitor,mode=control"]


def _disk(number: int, disk: DiskWire) -> list[str]:
    """The disk with the *number*, cached as QEMU's -drive cache=MODE does it."""
    direct = "on" if disk.cache == "none" else "off"
    argv = []
    if disk.kind == "nbd":
        # The cache is the server's affair.
        below = f"driver=nbd,node-name=file{number},server.type=fd,server.str={disk.fd},discard=unmap"
    else:
        argv += ["-add-fd", f"fd={disk.fd},set={number}"]
        below = (
            f"driver={disk.kind},node-name=file{number},filename=/dev/fdset/{number},auto-read-only=off,discard=unmap"
        )
        below += f",cache.direct={direct},aio=threads"
    argv += ["-blockdev", below]
    argv += ["-blockdev", f"driver=raw,node-name=disk{number},file=file{number},discard=unmap,detect-zeroes=off"]
    written = "off" if disk.cache == "writethrough" else "on"
    device = f"virtio-blk-pci,drive=disk{number},serial={DISK_SERIAL}{number},write-cache={written}"
    return [*argv, "-device", device]
