# SPDX-License-Identifier: BSD-2-Clause
"""The helper image for tests, and images whose first process is a shell script of the test's own."""

from __future__ import annotations

import functools
from pathlib import Path

from appliance import building, filesystem
from ganeti_cloud.process import run
from snf_image.machine.image import FORMAT, KERNEL, MANIFEST, ROOT, Manifest, hashed
from snf_image.machine.running import MachineSettings
from snf_image_helper.job import NOTHING
from snf_image_helper.lines import PORT

TREE = Path(__file__).resolve().parents[2]
CACHE = TREE / "build" / "appliance-cache"

SETTINGS = MachineSettings("tcg", memory_mib=256, cpu_limit_s=60, soft_limit_s=60, hard_limit_s=5, user="nobody")
JOB = NOTHING._replace(hostname="vm1", disks=1, password="s3cret")

# As far as the port, by which the helper is heard: what follows is the test's.
_PRELUDE = f"""#!/usr/bin/busybox sh
export PATH=/usr/bin
alias b=busybox
b mount -t devtmpfs dev /dev; b mount -t sysfs sys /sys; b mount -t proc proc /proc
for module in $(b cat /modules/boot.list); do b insmod /modules/$module; done
until [ -n "$port" ]; do
    for entry in /sys/class/virtio-ports/*; do
        if [ "$(b cat $entry/name)" = {PORT} ]; then port=/dev/${{entry##*/}}; fi
    done
done
disk() {{
    for entry in /sys/block/*; do
        if [ "$(b cat $entry/serial)" = $1 ]; then echo /dev/${{entry##*/}}; fi
    done
}}
# Opened once: when a port is closed, QEMU throws away what it has not passed on.
exec 3>$port
say() {{ echo "{{\\"kind\\": \\"$1\\", \\"task\\": \\"$2\\", \\"text\\": \\"$3\\"}}" >&3; }}
end() {{ b sync; b poweroff -f; b sleep 60; }}
"""


@functools.cache
def helper_image() -> Path:
    """The folder of the real helper image, made if it is not there."""
    target = TREE / "build" / "appliance"
    building.build(CACHE, target, lambda text: None)
    return target


def scripted(folder: Path, script: str) -> Path:
    """A helper image in *folder* that has the real kernel, and runs *script* instead of the helper."""
    parts, real = folder / "parts", helper_image()
    parts.mkdir(parents=True)
    _dump(real / ROOT, "/usr/bin/busybox", parts / "busybox")
    _rdump(real / ROOT, "/usr/lib/snf-image-helper/modules", parts)
    first = parts / "init"
    first.write_text(_PRELUDE + script, encoding="utf-8")
    for program in (first, parts / "busybox"):
        program.chmod(0o755)
    entries: dict[str, Path | filesystem.Link | filesystem.Text | None] = dict.fromkeys(("dev", "proc", "sys"))
    entries |= {"usr/bin/python3": first, "usr/bin/busybox": parts / "busybox"}
    needed = (parts / "modules" / "boot.list").read_text().split()
    entries |= {f"modules/{name}": parts / "modules" / name for name in ("boot.list", *needed)}
    scratch = folder / "scratch"
    scratch.mkdir()
    filesystem.make(entries, folder / ROOT, scratch, epoch=0)
    (folder / KERNEL).symlink_to(real / KERNEL)
    manifest = Manifest(FORMAT, {part: hashed(folder / part) for part in (KERNEL, ROOT)}, {})
    (folder / MANIFEST).write_text(manifest.encode(), encoding="utf-8")
    return folder


def _dump(image: Path, path: str, target: Path) -> None:
    run(["debugfs", "-R", f"dump {path} {target}", str(image)], timeout_s=30)


def _rdump(image: Path, path: str, folder: Path) -> None:
    run(["debugfs", "-R", f"rdump {path} {folder}", str(image)], timeout_s=30)
