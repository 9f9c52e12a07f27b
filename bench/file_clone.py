# SPDX-License-Identifier: BSD-2-Clause
"""``create`` of a disk from an image in a shared folder, against copying the file, and against QEMU's own overlay.

On ext4, where a clone is an overlay, and on XFS, where it is a reflink.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.clone import write_sparse
from bench.comparison import Comparison
from bench.site import SHARED, Contestant, Plan, Site, script, volume_env
from bench.verdict import Contrast, Samples
from ganeti_cloud.image import BLOCK
from ganeti_cloud.process import run

_IMAGE = "bench-file"
_SIZE = 2 << 30
_DISK_MIB = (_SIZE >> 20) + 1024
_ROUNDS = 15
_COPY_ROUNDS = 2
_STEP_S = 900.0
_FOLDER = f"{SHARED}/archipelago"
_CONFIG = "/etc/ganeti-cloud/archipelago.toml"
_XFS_GIB = 16  # a file of holes

_KINDS = {"overlay": "ext4", "reflink": "XFS"}


def measure(site: Site) -> Samples:
    """Bring the image into either folder; time what clones, and then what copies, all in turn."""
    samples: dict[str, list[float]] = {}
    path, inside = site.shared(f"{_IMAGE}.raw")
    with site.timeline.step("an image of 2 GiB made"):
        write_sparse(path, _SIZE, chunks=_SIZE // BLOCK)
        _mount_xfs(site)
    for kind in _KINDS:
        source = _import(site, kind, inside)
        clones, copies = list(_clones(kind, source)), list(_copies(kind, source))
        for what, plan in (("clones", Plan(clones, _ROUNDS)), ("copies", Plan(copies, _COPY_ROUNDS))):
            samples |= {who: list(times) for who, times in site.interleave(f"{kind}: {what}", plan).items()}
    return samples


def _mount_xfs(site: Site) -> None:
    image, _ = site.shared("bench.xfs")
    with image.open("wb") as stream:
        stream.truncate(_XFS_GIB << 30)
    run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], timeout_s=_STEP_S)
    device = run(["losetup", "--find", "--show", "--direct-io=on", str(image)], timeout_s=_STEP_S).strip()
    site.node.run(["mkdir", "-p", f"{_FOLDER}/overlay", f"{_FOLDER}/reflink"], timeout_s=_STEP_S)
    site.node.run(["mount", device, f"{_FOLDER}/reflink"], timeout_s=_STEP_S)


def _import(site: Site, kind: str, inside: str) -> str:
    """Make the image in the pool *kind*, which the node uses from now on; the file with its content."""
    site.node.write(_CONFIG, f'[storage]\ndriver = "file"\n[file]\nfolder = "{_FOLDER}"\npool = "{kind}"\n')
    with site.timeline.step(f"{kind}: imported"):
        site.node.run(["archipelago", "image", "import", "--json", _IMAGE, inside], timeout_s=_STEP_S)
    record = site.node.run(["sh", "-c", f"cat {_FOLDER}/{kind}/images/*.json"], timeout_s=_STEP_S)
    name: str = json.loads(record)["chain"][0].partition("/")[2]
    return f"{_FOLDER}/{kind}/data/{name}"


def _clones(kind: str, source: str) -> Iterator[Contestant]:
    target = f"{_FOLDER}/{kind}/{{volume}}"
    env = volume_env("{volume}") | {"VOL_SIZE": str(_DISK_MIB), "EXTP_ORIGIN": _IMAGE}
    overlay = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", source, "-F", "raw", target, f"{_DISK_MIB}M"]
    yield Contestant(_who("ours", kind), [[script("create")]], env=env, after=[[script("remove")]])
    yield Contestant(_who("qemu-img create", kind), [overlay], after=[["rm", target]])
    synced = [overlay, ["sync", target]]
    yield Contestant(_who("qemu-img create and sync", kind), synced, after=[["rm", target]])


def _copies(kind: str, source: str) -> Iterator[Contestant]:
    target = f"{_FOLDER}/{kind}/{{volume}}"
    copy = ["cp", "--reflink=never", source, target]
    larger = ["truncate", f"--size={_DISK_MIB}M", target]
    yield Contestant(_who("cp", kind), [copy, larger], after=[["rm", target]])


def _who(what: str, kind: str) -> str:
    return f"{what}, {kind}"


def _contrast(peer: str, kind: str, at_most: float | None = None) -> Contrast:
    ours = _who("ours", kind)
    return Contrast(f"{kind} on {_KINDS[kind]}: create against {peer}", ours, _who(peer, kind), at_most=at_most)


COMPARISON = Comparison(
    name="file_clone",
    about="create of a disk from an image of 2 GiB in a shared folder, against cp and qemu-img create -b",
    measure=measure,
    contrasts=[
        *(_contrast("cp", kind, 0.2) for kind in ("reflink", "overlay")),
        *(_contrast("qemu-img create and sync", kind) for kind in ("reflink", "overlay")),
        *(_contrast("qemu-img create", kind) for kind in ("reflink", "overlay")),
    ],
)
