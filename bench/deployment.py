# SPDX-License-Identifier: BSD-2-Clause
"""A whole ``gnt-instance add``: a clone and the helper machine, against a copy and libguestfs.

The peer is an OS definition such as administrators write for themselves: ``virt-resize`` copies the image onto the
instance's disk and grows it, ``virt-customize`` adapts it.
"""

from __future__ import annotations

import shlex

from bench.clone import imported
from bench.comparison import Comparison
from bench.helper import CUSTOMIZE, GUESTFS_ENV, KEY, PACKAGES, PASSWORD, prepare_node, write_image
from bench.site import Contestant, Plan, Site
from bench.verdict import Contrast, Samples

_IMAGE = "deployment"
_ROUNDS = 3
_READ_S = 30.0
_PEER = "copy-and-customize"

_ADD = ["gnt-instance", "add", "-t", "ext", "--no-start", "--no-name-check", "--no-ip-check", "--no-nics"]
_DISK = "0:size=10G,provider=archipelago"
_REMOVE = [["gnt-instance", "remove", "-f", "{volume}"]]


def measure(site: Site) -> Samples:
    """Bring the image in, write the peer's OS definition, and have both make instances in turn."""
    shared, inside = site.shared("deployment-image.raw")
    with site.timeline.step("an image of Debian 12 made and brought in"):
        write_image(shared)
        imported(site, _IMAGE, inside)
    prepare_node(site)
    _define_peer(site, inside)
    password, key = (site.node.run(["cat", path], timeout_s=_READ_S).strip() for path in (PASSWORD, KEY))
    ours = ["--disk", f"{_DISK},origin={_IMAGE}", "-o", "snf-image+default", "-O", "img_id=null"]
    ours += ["--os-parameters-secret", f"img_passwd={password},auth_keys={key}"]
    theirs = ["--disk", _DISK, "-o", _PEER]
    where = ["-n", site.node.hostname, "{volume}"]
    plan = Plan(
        [
            Contestant("ours", [[*_ADD, *ours, *where]], after=_REMOVE),
            Contestant("copy and virt-customize", [[*_ADD, *theirs, *where]], after=_REMOVE),
        ],
        rounds=_ROUNDS,
    )
    return site.interleave("deployment", plan)


def _define_peer(site: Site, image: str) -> None:
    """An OS definition of API version 10, the least that Ganeti takes (ganeti-os-interface(7))."""
    exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in GUESTFS_ENV.items())
    grow = f'virt-resize --quiet --expand /dev/sda1 {shlex.quote(image)} "$DISK_0_PATH"\n'
    customize = f'{shlex.join(CUSTOMIZE)} -a "$DISK_0_PATH"\n'
    folder = f"/srv/ganeti/os/{_PEER}"
    site.node.run(["mkdir", "-p", folder], timeout_s=_READ_S)
    site.node.write(f"{folder}/ganeti_api_version", "10\n")
    site.node.write(f"{folder}/create", f"#!/bin/sh -e\n{exports}{grow}{customize}")
    for other in ("import", "export", "rename"):
        site.node.write(f"{folder}/{other}", "#!/bin/sh\nexit 1\n")
    scripts = [f"{folder}/{name}" for name in ("create", "import", "export", "rename")]
    site.node.run(["chmod", "755", *scripts], timeout_s=_READ_S)


COMPARISON = Comparison(
    name="deployment",
    about="gnt-instance add of a clone that the helper machine adapts, against a copy that virt-customize adapts",
    measure=measure,
    contrasts=[
        Contrast(
            "gnt-instance add: a clone against a copy with virt-customize",
            ours="ours",
            peer="copy and virt-customize",
            at_most=1 / 3,
        ),
    ],
    packages=PACKAGES,
)
