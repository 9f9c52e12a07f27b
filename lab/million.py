# SPDX-License-Identifier: BSD-2-Clause
"""A guest with a million files in one folder.

To make them one by one takes minutes. Here the records of the files are written to where ext4 keeps them, the folder's
content as that of a file, and e2fsck(8) puts right what is counted.
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

from ganeti_cloud.errors import CommandError
from ganeti_cloud.process import run
from lab.small_linux import TOOL_S, debugfs, write_tree

FILES = 1_000_000
# The folder of the keys that deployments look for, and all of these files look like such keys.
FOLDER = "etc/ssh"

_BLOCK = 4096
_RECORD = 128
# As many records as a block of bits has room for, in small groups of blocks.
_GROUP_RECORDS, _GROUP_BLOCKS = 8 * _BLOCK, 2048
_GROUPS = 32
_FIRST = 1000  # the number of the first file: those of the guest's own tree are smaller
_ENTRY = 28
_CHECK_S = 300.0


def make_volume(volume: Path) -> None:
    """Make the file *volume* an ext4 with a guest's tree and the files."""
    tree = volume.with_name("tree")
    write_tree(tree)
    shutil.rmtree(tree / FOLDER)
    (tree / FOLDER).write_bytes(b"".join(_folder()))
    with volume.open("wb") as stream:
        stream.truncate(_GROUPS * _GROUP_BLOCKS * _BLOCK)
    groups = ["-b", str(_BLOCK), "-g", str(_GROUP_BLOCKS), "-N", str(_GROUPS * _GROUP_RECORDS), "-I", str(_RECORD)]
    features = ["-O", "^metadata_csum,^uninit_bg,^has_journal,^resize_inode", "-m", "0", "-d", str(tree)]
    run(["mke2fs", "-q", "-F", "-t", "ext4", *groups, *features, str(volume)], timeout_s=TOOL_S)
    _write_records(volume)
    debugfs(volume, f"set_inode_field /{FOLDER} mode 040755")
    try:
        run(["e2fsck", "-f", "-y", str(volume)], timeout_s=_CHECK_S)
    except CommandError as err:
        if err.status != 1:  # 1: all was put right
            raise


def _folder() -> Iterator[bytes]:
    """The blocks of the folder: entries of a number, their length, the length of the name, a kind, and the name."""
    # e2fsck sets the numbers of these two right.
    block = struct.pack("<IHBB4s", 2, 12, 1, 2, b".") + struct.pack("<IHBB4s", 2, 12, 2, 2, b"..")
    for number in range(FILES):
        name = b"ssh_host_%06d_key" % number
        block += struct.pack("<IHBB20s", _FIRST + number, _ENTRY, len(name), 1, name)
        if len(block) + _ENTRY > _BLOCK or number == FILES - 1:
            # The last entry of a block reaches to its end.
            length = struct.pack("<H", _BLOCK - len(block) + _ENTRY)
            yield block[: 4 - _ENTRY] + length + block[6 - _ENTRY :] + bytes(_BLOCK - len(block))
            block = b""


def _write_records(volume: Path) -> None:
    """Fill the tables of records with those of empty files, which one link names."""
    record = struct.pack("<H24xH", 0o100644, 1).ljust(_RECORD, b"\0")
    listing = run(["dumpe2fs", str(volume)], timeout_s=TOOL_S)
    tables = [int(place) for place in re.findall(r"^ +Inode table at (\d+)-", listing, re.MULTILINE)]
    with volume.open("r+b") as stream:
        for group, table in enumerate(tables):
            first, last = group * _GROUP_RECORDS + 1, (group + 1) * _GROUP_RECORDS
            begin, end = max(first, _FIRST), min(last, _FIRST + FILES - 1)
            if begin <= end:
                stream.seek(table * _BLOCK + (begin - first) * _RECORD)
                stream.write(record * (end - begin + 1))
