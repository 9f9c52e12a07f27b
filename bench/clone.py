# SPDX-License-Identifier: BSD-2-Clause
"""``create`` of a disk from an image, against Ceph's own program doing as much, less, or copying.

All disks are 1 GiB larger than their image, so that each is resized; all images hold the same amount of data.
"""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.comparison import Comparison
from bench.site import Contestant, Plan, Site, script, volume_env
from bench.verdict import Contrast, Samples

_SIZES_GIB = (1, 10, 100)
# The size that the last line tells of.
_MAIN_GIB = 10

_CHUNK = 4 << 20  # an object of RBD
_CHUNKS = 64
_ROUNDS = 40
_COPY_ROUNDS = 4
_IMPORT_S = 1800.0

# As fast as a copy can be had: several writes at once, out of order, and no zeros written to what is zeros.
CONVERT = ["qemu-img", "convert", "-n", "-W", "-m", "8", "--target-is-zero", "-f", "raw", "-O", "raw"]
_REMOVE = ["rbd", "rm", "--no-progress", "{volume}"]


def measure(site: Site) -> Samples:
    """Bring the images in; time what clones, all in turn; then what copies, of which fewer samples do."""
    with site.timeline.step(f"images of {', '.join(map(str, _SIZES_GIB))} GiB in the catalogue"):
        with ThreadPoolExecutor(len(_SIZES_GIB)) as pool:
            contents = dict(zip(_SIZES_GIB, pool.map(lambda size: _import(site, size), _SIZES_GIB), strict=True))
    clones = [contestant for size in _SIZES_GIB for contestant in _clones(size, contents[size])]
    copies = [contestant for size in _SIZES_GIB for contestant in _copies(site, size, contents[size])]
    return {
        **site.interleave("clones", Plan(clones, rounds=_ROUNDS)),
        **site.interleave("copies", Plan(copies, rounds=_COPY_ROUNDS)),
    }


def _image(size_gib: int) -> str:
    return f"bench-{size_gib}"


def _import(site: Site, size_gib: int) -> str:
    """Make the image, and tell where its content is, as Ceph's tools write it."""
    path, inside = site.shared(f"{_image(size_gib)}.raw")
    write_sparse(path, size_gib << 30)
    return imported(site, _image(size_gib), inside)


def imported(site: Site, name: str, file: str) -> str:
    """Make the image *name* of *file*, and tell where its content is, as Ceph's tools write it."""
    argv = ["archipelago", "image", "import", "--json", name, file]
    version = json.loads(site.node.run(argv, timeout_s=_IMPORT_S))
    return f"{version['holder']}@{version['snapshot']}"


def write_sparse(path: Path, size: int, *, chunk: int = _CHUNK, chunks: int = _CHUNKS) -> None:
    """Make *path* a file of *size* bytes with *chunks* random pieces in it, evenly spread; the rest are holes.

    The pieces are the same whatever the size: each is made from its number.
    """
    with path.open("wb") as stream:
        stream.truncate(size)
        for number in range(chunks):
            stream.seek(number * (size // chunks) // chunk * chunk)
            stream.write(random.Random(number).randbytes(chunk))


def _clones(size_gib: int, content: str) -> list[Contestant]:
    name, size_mib = _image(size_gib), (size_gib + 1) << 10
    clone = ["rbd", "clone", content, "{volume}"]
    resize = ["rbd", "resize", "--no-progress", "--size", f"{size_mib}M", "{volume}"]
    note = ["rbd", "image-meta", "set", "{volume}", "ganeti-cloud.volume.origin", name]
    env = volume_env("{volume}") | {"VOL_SIZE": str(size_mib), "EXTP_ORIGIN": name}
    return [
        Contestant(_who("ours", size_gib), [[script("create")]], env=env, after=[_REMOVE]),
        Contestant(_who("rbd clone+resize+meta", size_gib), [clone, resize, note], after=[_REMOVE]),
        Contestant(_who("rbd clone", size_gib), [clone], after=[_REMOVE]),
    ]


def _copies(site: Site, size_gib: int, content: str) -> list[Contestant]:
    name = _image(size_gib)
    copy = ["rbd", "cp", "--no-progress", content, "{volume}"]
    create = ["rbd", "create", "--size", f"{size_gib + 1}G", "{volume}"]
    _, file = site.shared(f"{name}.raw")
    return [
        Contestant(_who("rbd cp", size_gib), [copy], after=[_REMOVE]),
        Contestant(_who("create+copy", size_gib), [create, [*CONVERT, file, "rbd:rbd/{volume}"]], after=[_REMOVE]),
    ]


def _who(what: str, size_gib: int) -> str:
    return f"{what} {size_gib} GiB"


def _contrast(peer: str, size_gib: int, at_most: float | None = None) -> Contrast:
    return Contrast(
        f"{size_gib} GiB: create against {peer}", _who("ours", size_gib), _who(peer, size_gib), at_most=at_most
    )


_MAIN_FIRST = sorted(_SIZES_GIB, key=lambda size: size != _MAIN_GIB)

COMPARISON = Comparison(
    name="clone",
    about="create of a disk from an image of 1, 10 and 100 GiB, against rbd clone, resize and image-meta, and copies",
    measure=measure,
    contrasts=[
        *(_contrast("rbd clone+resize+meta", size, 0.8) for size in _MAIN_FIRST),
        *(_contrast("rbd clone", size, 2.0) for size in _MAIN_FIRST),
        Contrast("create of 100 GiB against create of 1 GiB", _who("ours", 100), _who("ours", 1), at_most=1.1),
        *(_contrast(peer, size) for peer in ("rbd cp", "create+copy") for size in _MAIN_FIRST),
    ],
)
