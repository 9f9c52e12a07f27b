# SPDX-License-Identifier: BSD-2-Clause
"""A new version of an image of which one block in twenty has changed, against what brings in all of the file."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

from bench.clone import CONVERT
from bench.comparison import Comparison
from bench.site import Contestant, Plan, Site
from bench.verdict import Contrast, Samples
from ganeti_cloud.errors import CloudError
from ganeti_cloud.image import BLOCK

_IMAGE = "bench-sync"
_SIZE = 2 << 30
_EVERY = 20
_ROUNDS = 4
_STEP_S = 900.0

_REMOVE = ["rbd", "rm", "--no-progress", "{volume}"]


def measure(site: Site) -> Samples:
    """Bring the first version in; then time what brings in the second, all in turn."""
    first, first_inside = site.shared("first.raw")
    second, second_inside = site.shared("second.raw")
    with site.timeline.step("two versions of 2 GiB made, the first imported"):
        write_versions(first, second, _SIZE)
        site.node.run(["archipelago", "image", "import", "--json", _IMAGE, first_inside], timeout_s=_STEP_S)
    sync = ["archipelago", "image", "sync", "--json", _IMAGE, second_inside]
    told = json.loads(site.node.run(sync, timeout_s=_STEP_S))
    wanted = len(range(0, _SIZE // BLOCK, _EVERY))
    if told["blocks_written"] != wanted or told["bytes_written"] != wanted * BLOCK:
        raise CloudError(f"sync wrote {told['blocks_written']} blocks where {wanted} had changed")
    share = told["bytes_written"] / _SIZE
    site.timeline.note(f"written: {wanted} of {told['blocks']} blocks, {told['bytes_written']} bytes, {share:.1%}")
    forget = ["archipelago", "image", "remove", f"{_IMAGE}@sha256:{told['sha256']}"]
    site.node.run(forget, timeout_s=_STEP_S)
    create = ["rbd", "create", "--size", f"{_SIZE >> 20}M", "{volume}"]
    contestants = [
        Contestant("ours", [sync], after=[forget]),
        Contestant("rbd import", [["rbd", "import", "--no-progress", second_inside, "{volume}"]], after=[_REMOVE]),
        Contestant("qemu-img convert", [create, [*CONVERT, second_inside, "rbd:rbd/{volume}"]], after=[_REMOVE]),
    ]
    return site.interleave("sync", Plan(contestants, rounds=_ROUNDS))


def write_versions(first: Path, second: Path, size: int) -> None:
    """Make *first* a file of *size* random bytes, and *second* the same but for every twentieth block."""
    chance = random.Random(1)
    with first.open("wb") as stream:
        for _ in range(0, size, BLOCK):
            stream.write(chance.randbytes(BLOCK))
    shutil.copyfile(first, second)
    with second.open("r+b") as stream:
        for offset in range(0, size, _EVERY * BLOCK):
            stream.seek(offset)
            stream.write(chance.randbytes(BLOCK))


COMPARISON = Comparison(
    name="sync",
    about="image sync of 2 GiB with 5 % of the blocks changed, against rbd import and qemu-img convert of all of it",
    measure=measure,
    contrasts=[
        Contrast("sync against qemu-img convert", ours="ours", peer="qemu-img convert", at_most=1.25),
        Contrast("sync against rbd import", ours="ours", peer="rbd import", at_most=1.25),
    ],
)
