# SPDX-License-Identifier: BSD-2-Clause
"""What another program reads out of registry hives: the hashes of users' passwords, as impacket has them."""

from __future__ import annotations

import json
from pathlib import Path

from ganeti_cloud.process import run

# In a process of its own, as what it imports warns of itself.
_PROGRAM = """
import json, sys
from impacket.examples.secretsdump import LocalOperations, SAMHashes
found = []
key = LocalOperations(sys.argv[1]).getBootKey()
SAMHashes(sys.argv[2], key, isRemote=False, perSecretCallback=found.append).dump()
json.dump(found, sys.stdout)
"""
_NONE = {"aad3b435b51404eeaad3b435b51404ee": "", "31d6cfe0d16ae931b73c59d7e0c089c0": ""}


def hashes(folder: Path) -> dict[str, tuple[int, str, str]]:
    """By name: the number of the account, the hash of the older kind, the hash; a hash of nothing is empty."""
    argv = ["/usr/bin/python3", "-W", "ignore", "-c", _PROGRAM, str(folder / "SYSTEM"), str(folder / "SAM")]
    lines = json.loads(run(argv, timeout_s=60))
    entries = [line.split(":") for line in lines]
    return {
        entry[0]: (int(entry[1]), _NONE.get(entry[2], entry[2]), _NONE.get(entry[3], entry[3])) for entry in entries
    }
