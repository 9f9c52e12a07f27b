# SPDX-License-Identifier: BSD-2-Clause
"""What goes into the helper's root file system, by name. Where it lies in Debian's packages is found out elsewhere."""

from __future__ import annotations

# Raise it when the way the image is made changes without a change of its sources.
FORMAT = 1

PACKAGES = (
    "btrfs-progs",
    "busybox-static",
    "e2fsprogs",
    "fdisk",
    "libcrypt1",
    "linux-image-cloud-amd64",
    "lvm2",
    "mount",
    "ntfs-3g",
    "openssh-client",
    "python3",
    "util-linux",
    "xfsprogs",
)

PROGRAMS = (
    "blkid",
    "blockdev",
    "btrfs",
    "busybox",
    "e2fsck",
    "fsck.ext4",
    "lowntfs-3g",
    "lvm",
    "mkswap",
    "mount",
    "ntfs-3g",
    "ntfsfix",
    "ntfsinfo",
    "ntfsresize",
    "partx",
    "python3",
    "resize2fs",
    "sfdisk",
    "ssh-keygen",
    "tune2fs",
    "umount",
    "xfs_admin",
    "xfs_db",
    "xfs_growfs",
    "xfs_repair",
)

# What programs are also known as.
ALIASES = {"sh": "busybox", "vgchange": "lvm", "lvs": "lvm", "pvs": "lvm", "pvresize": "lvm", "lvextend": "lvm"}

# Loaded by ctypes, or when a thread is cancelled: no program names them.
LIBRARIES = ("libc.so.6", "libcrypt.so.1", "libcrypto.so.3", "libgcc_s.so.1")

# Lists of kernel modules, each to be loaded as a whole; what a module needs is found out. A name that the kernel does
# not have as a module is built into it, or the kernel is without it (ntfs3 in Debian 12).
MODULES = {
    "boot": ("virtio_pci", "virtio_blk", "virtio_console"),
    "btrfs": ("btrfs",),
    "dm_mod": ("dm_mod",),
    "fuse": ("fuse",),
    "vfat": ("vfat", "nls_cp437", "nls_iso8859_1", "nls_utf8", "nls_ascii"),
    "xfs": ("xfs",),
}

# Parts of Python's library that have no place in a machine without network, screen and users.
WITHOUT = frozenset(
    """__phello__ _pydecimal asyncio bdb cgi cgitb code codeop concurrent config ctypes.macholib ctypes.test curses dbm
    distutils doctest ensurepip ftplib idlelib imaplib lib2to3 mailbox mailcap multiprocessing nntplib pdb pip
    poplib pydoc pydoc_data pyrepl smtpd smtplib socketserver sqlite3 ssl telnetlib test this tkinter turtle
    turtledemo unittest venv webbrowser wsgiref xmlrpc zipapp""".split()
)
# Extension modules that would pull OpenSSL, SQLite, Berkeley DB or readline in; hashlib does without.
WITHOUT_EXTENSIONS = frozenset(
    "_asyncio _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _ctypes_test _curses _curses_panel"
    " _dbm _hashlib _multiprocessing _sqlite3 _ssl _testbuffer _testcapi _testclinic _testclinic_limited"
    " _testimportmultiple _testinternalcapi _testlimitedcapi _testmultiphase _testsinglephase _tkinter nis ossaudiodev"
    " readline termios_test xxlimited xxlimited_35 xxsubtype _xxtestfuzz _lsprof".split()
)

FOLDERS = ("dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/lib64")
LINKS = {
    "bin": "usr/bin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "sbin": "usr/bin",
    "usr/sbin": "bin",
    "var": "run",
    "etc/mtab": "../proc/self/mounts",
}
# ssh-keygen does not run for a user without a name.
TEXTS = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}

# Known to the kernel's command line, and to the helper.
OWN = "usr/lib/snf-image-helper"
MODULE_FOLDER = f"{OWN}/modules"
MAIN = f"{OWN}/main.pyc"
