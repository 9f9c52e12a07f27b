# SPDX-License-Identifier: BSD-2-Clause
"""How a closed profile knows what belongs to something that the guest began: by a bit of the mark.

The chains of a tap cannot ask conntrack: packets at devices have no state. So a table of another family sets the bit
on what leaves for a guest, and the profile looks at it. It is made with the first closed profile, as tracking costs.
"""

from __future__ import annotations

from pathlib import Path

from kvm_ifup.filtering.expressions import TABLE
from kvm_ifup.filtering.ruleset import about
from kvm_ifup.port import BridgePort, Port, RoutedPort

_SYSCTLS = Path("/proc/sys/net/bridge")
_LINKS = Path("/sys/class/net")
_CALLS = ("iptables", "ip6tables")

# After everybody who may set a mark; the chains that confirm connections come last.
_PRIORITY = 300


def text(family: str, mark: int) -> str:
    """One transaction that makes the table of *family*, or puts its rules in the place of others."""
    at = f"{family} {TABLE} answers"
    lines = [
        f"add table {family} {TABLE}",
        f"add chain {at} {{ type filter hook postrouting priority {_PRIORITY}; policy accept; }}",
        f"flush chain {at}",
    ]
    if family == "inet":
        # What others made of the bit does not count. A bridge's table comes after this one and keeps its answers.
        lines.append(f"add rule {at} meta mark & {mark:#x} != 0 meta mark set meta mark & {~mark & 0xFFFFFFFF:#x}")
    lines.append(f"add rule {at} ct state established,related meta mark set meta mark | {mark:#x}")
    return "\n".join([*lines, *about(family, version(mark))]) + "\n"


def version(mark: int) -> str:
    """A word that the rules for this *mark* carry."""
    return f"mark {mark:#x}"


def families(port: Port) -> tuple[str, ...] | None:
    """Whose tables see what goes to *port*, and its connections; None: there is no way on this connection."""
    if isinstance(port.connection, RoutedPort):
        return ("inet",)
    if isinstance(port.connection, BridgePort):
        return ("inet",) if _tracked_as_routed(port.connection.bridge) else ("inet", "bridge")
    return None


def _tracked_as_routed(bridge: str) -> bool:
    """Whether br_netfilter shows what passes *bridge* to the tables of IP: for all bridges, or for this one."""
    return (_SYSCTLS / "bridge-nf-call-iptables").exists() and all(
        _is_on(_SYSCTLS / f"bridge-nf-call-{call}") or _is_on(_LINKS / bridge / f"bridge/nf_call_{call}")
        for call in _CALLS
    )


def _is_on(path: Path) -> bool:
    try:
        return path.read_text(encoding="ascii").strip() != "0"
    except OSError:
        return False
