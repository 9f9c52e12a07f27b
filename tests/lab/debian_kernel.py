# SPDX-License-Identifier: BSD-2-Clause
"""What is tried in Debian's own kernels: all of it after one start, which takes a minute without KVM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ganeti_cloud.errors import CloudError
from lab.lab import DEBS
from lab.native import run_native
from lab.spec import Release
from lab.timeline import Timeline

_LIMIT_S = 2400.0
_PYTEST = "python3 -m pytest --quiet -p no:cacheprovider"
_TOPICS = ("receiving", "flows", "sending", "life")

# By name, in their order: that of the filter comes first, as it wants a kernel in which nobody has loaded anything.
_COMMANDS = {
    "filter": "modprobe bridge && ! test -e /proc/sys/net/bridge"
    # That frames would pass without the filter needs no other kernel.
    f" && {_PYTEST} -k 'not stops_it' " + " ".join(f"tests/unit/test_kvm_ifup_filter_{topic}.py" for topic in _TOPICS),
    "vlans": f"{_PYTEST} tests/unit/test_kvm_ifup_link_vlans.py tests/unit/test_kvm_ifup_link_kernel.py",
    "queues": "python3 -c 'from tests.unit.nfdhcpd_network import nft_queues; assert nft_queues()'"
    f" && {_PYTEST} tests/unit/test_nfdhcpd_rules_kernel.py",
}
_BEGIN, _END = "tried: begin of", "tried: end of"


def tried(release: Release, folder: Path) -> Mapping[str, tuple[int, str]]:
    """The exit status and the output of each command in the kernel of *release*. *folder* is for the disks.

    Where the machine did not come to its end, each has failed with the reason.
    """
    script = "".join(
        f"echo '{_BEGIN} {name}'; {{ {command}; }}; echo \"{_END} {name} $?\"; " for name, command in _COMMANDS.items()
    )
    try:
        _, said = run_native(release, f"{{ {script}}}", folder, Timeline(print), debs=DEBS, timeout_s=_LIMIT_S)
    except CloudError as err:
        return dict.fromkeys(_COMMANDS, (1, f"{err}"))
    return {name: _part(name, said) for name in _COMMANDS}


def _part(name: str, said: str) -> tuple[int, str]:
    """What was said while the command *name* ran."""
    found = re.search(rf"(?s){_BEGIN} {name}\r?\n(.*){_END} {name} (\d+)", said)
    return (int(found[2]), found[1]) if found else (1, f"{name} did not end: {said}")
