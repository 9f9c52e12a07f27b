# SPDX-License-Identifier: BSD-2-Clause
"""A deployment's helper machine against libguestfs, which is what administrators adapt images with otherwise.

Both give a Debian on ext4 a host name, a password, a key and new SSH host keys, and let it grow from 2 to 10 GiB. Both
are emulated (TCG), so that the comparison is the same on every machine.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench.comparison import Comparison
from bench.site import Contestant, Plan, Site
from bench.verdict import Contrast, Samples
from ganeti_cloud.process import run
from lab.rootfs import MAKE_SETUP, proxies

# In the node; its kernel is for libguestfs, which makes its own machine of what is installed.
PACKAGES = ("libguestfs-tools", "linux-image-cloud-amd64")

_SMALL, _LARGE = 2 << 30, 10 << 30
_START = 1 << 20
_ROUNDS = 3
_STEP_S = 1800.0
_FOLDER = "/var/tmp/bench-helper"
_IMAGE, _DISK, _GROWN = f"{_FOLDER}/image.raw", f"{_FOLDER}/disk.raw", f"{_FOLDER}/grown.raw"
PASSWORD, KEY = f"{_FOLDER}/password", f"{_FOLDER}/key.pub"
_SETTINGS = "/etc/ganeti-cloud/snf-image.toml"

_OURS = [
    "snf-image",
    "deploy",
    "--json",
    "--disk",
    _DISK,
    "--hostname",
    "bench.example.com",
    "--password-file",
    PASSWORD,
]
_OURS += ["--ssh-key", KEY]

GUESTFS_ENV = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
CUSTOMIZE = ["virt-customize", "--quiet", "--no-network", "--hostname", "bench.example.com"]
CUSTOMIZE += ["--root-password", f"file:{PASSWORD}", "--ssh-inject", f"root:file:{KEY}"]
CUSTOMIZE += ["--run-command", "rm -f /etc/ssh/ssh_host_* && ssh-keygen -A"]
_RESIZE = ["virt-resize", "--quiet", "--expand", "/dev/sda1", _DISK, _GROWN]


def measure(site: Site) -> Samples:
    """Make the image, and have it adapted again and again, each time from a copy of its own."""
    shared, inside = site.shared("helper-image.raw")
    with site.timeline.step("an image of Debian 12 made"):
        write_image(shared)
    prepare_node(site)
    site.node.run(["cp", "--sparse=always", inside, _IMAGE], timeout_s=_STEP_S)
    larger = [["cp", "--sparse=always", _IMAGE, _DISK], ["truncate", f"--size={_LARGE}", _DISK]]
    same = [["cp", "--sparse=always", _IMAGE, _DISK], ["truncate", f"--size={_LARGE}", _GROWN]]
    plan = Plan(
        [
            # Each leaves the disk as the next one wants it; the order is turned round in every other round.
            Contestant("ours", [_OURS], before=larger),
            Contestant("virt-customize", [[*CUSTOMIZE, "-a", _DISK]], env=GUESTFS_ENV, before=larger),
            Contestant(
                "virt-resize and virt-customize", [_RESIZE, [*CUSTOMIZE, "-a", _GROWN]], env=GUESTFS_ENV, before=same
            ),
        ],
        rounds=_ROUNDS,
    )
    return site.interleave("helper", plan)


def prepare_node(site: Site) -> None:
    """Write what both sides put into a guest, and have both emulate their machines, whatever the processor can."""
    site.node.run(["mkdir", "-p", _FOLDER], timeout_s=_STEP_S)
    site.node.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY.removesuffix(".pub")], timeout_s=_STEP_S)
    site.node.write(PASSWORD, "correct horse battery staple\n")
    site.node.write(_SETTINGS, '[machine]\naccelerator = "tcg"\n')


def write_image(path: Path) -> None:
    """A disk of 2 GiB with Debian 12 on ext4, in the one partition of a GPT."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        tree, part = Path(name) / "tree", Path(name) / "part"
        argv = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=openssh-server,ifupdown", "--format=directory"]
        run([*argv, "bookworm", str(tree)], timeout_s=_STEP_S, env=proxies(), hint=MAKE_SETUP)
        (tree / "etc/fstab").write_text("LABEL=root / ext4 defaults 0 1\n", encoding="utf-8")
        (tree / "etc/hostname").write_text("template\n", encoding="utf-8")
        blocks = (_SMALL - 2 * _START) // 4096
        run(
            ["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-L", "root", "-d", str(tree), str(part), str(blocks)],
            timeout_s=_STEP_S,
        )
        with path.open("wb") as disk:
            disk.truncate(_SMALL)
        table = f"label: gpt\nstart={_START // 512}, size={blocks * 8}, type=linux\n"
        run(["sfdisk", "--quiet", str(path)], stdin=table, timeout_s=_STEP_S)
        with part.open("rb") as source, path.open("r+b") as disk:
            disk.seek(_START)
            shutil.copyfileobj(source, disk, 1 << 20)
        run(["fallocate", "--dig-holes", str(path)], timeout_s=_STEP_S)


COMPARISON = Comparison(
    name="helper",
    about="a whole run of the helper machine (grow, host name, password, keys) against virt-resize and virt-customize",
    measure=measure,
    contrasts=[
        Contrast(
            "helper machine against virt-resize and virt-customize",
            ours="ours",
            peer="virt-resize and virt-customize",
            at_most=1 / 7,
        ),
        Contrast("helper machine against virt-customize, which grows nothing", ours="ours", peer="virt-customize"),
    ],
    packages=PACKAGES,
)
