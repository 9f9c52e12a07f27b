# SPDX-License-Identifier: BSD-2-Clause
"""What of the filter the kernel has, and how it gets there: few questions, each at the cost of one message."""

from __future__ import annotations

import errno
import socket
from typing import NamedTuple

from ganeti_cloud.errors import CloudError, CommandError
from ganeti_cloud.process import stream
from kvm_ifup.filtering import netlink, tap
from kvm_ifup.filtering.expressions import FAMILY, TABLE
from kvm_ifup.filtering.netlink import GETCHAIN, GETOBJ, GETRULE, NEWCHAIN, Message, Refused
from kvm_ifup.filtering.ruleset import ABOUT
from kvm_ifup.port import Port

_LIMIT_S = 30.0
_HINTS = {
    errno.EPERM: "run as root",
    errno.EOPNOTSUPP: "this needs a kernel with filters at the egress of devices: Linux 5.16",
    errno.ENOENT: "kvm-ifup reconcile makes what is missing of the table",
}
_TABLE = netlink.text(1, TABLE)


class Rule(NamedTuple):
    """A rule that is there."""

    chain: str
    comment: str


def comment() -> str | None:
    """The word that the table was made with; None without a table."""
    found = _rules(netlink.text(2, ABOUT))
    return found[0].comment if found else None


def rules() -> list[Rule]:
    """All of our table."""
    return _rules(b"")


def chains() -> dict[str, tuple[int | None, str]]:
    """Hook and device of all chains of our table, by name."""
    found = [netlink.attributes(each) for each in netlink.ask(FAMILY, Message(GETCHAIN, b""), dump=True)]
    return {netlink.told(each[3]): _hook(each) for each in found if netlink.told(each[1]) == TABLE}


def counters() -> dict[str, int]:
    """Packets that our table's counters have counted, by name."""
    found = [netlink.attributes(each) for each in netlink.ask(FAMILY, Message(GETOBJ, _TABLE), dump=True)]
    packets = {netlink.told(each[2]): netlink.attributes(each[4])[2] for each in found}
    return {name: int.from_bytes(number, "big") for name, number in packets.items()}


def feed(ruleset: str) -> None:
    """Have nft carry out *ruleset* as one transaction. Raises CloudError."""
    # Imported here: only the first tap of a node needs it.
    import tempfile

    said: list[bytes] = []
    with tempfile.TemporaryFile() as stdin:
        stdin.write(ruleset.encode())
        stdin.seek(0)
        try:
            stream(["nft", "--file", "-"], said.append, timeout_s=_LIMIT_S, stdin=stdin, stderr=True)
        except CommandError as err:
            if err.status is None:
                hint = err.hint or "apt install nftables"
                raise CloudError(f"the filter's table: {err}", hint=hint) from err
            # nft prints the place below what is wrong with it.
            lines = [line.strip() for line in b"".join(said).decode(errors="replace").splitlines()]
            told = next((line for line in lines if "rror" in line), str(err))
            raise CloudError(f"the filter's table: {told}", hint="run as root; see nft(8)") from err


def make(port: Port, *, is_open: bool) -> None:
    """The chains of *port*, whose profile *is_open* or not, and a look whether they are there. Raises CloudError."""
    messages = tap.made(port, is_open=is_open)
    try:
        netlink.commit(FAMILY, messages)
    except Refused as err:
        if err.index is None or messages[err.index].kind != NEWCHAIN:
            raise _refused(port, err) from err
        # A chain of our name that is no filter of this tap, left by another program or by a device that went. Anything
        # else leaves the old filter as it is: without it a guest that runs could send what it likes.
        unmake(port.tap)
        try:
            netlink.commit(FAMILY, messages)
        except Refused as again:
            raise _refused(port, again) from again
    for kind, hook in tap.HOOKS.items():
        name = netlink.text(3, tap.chain_name(kind, port.tap))
        found = [_hook(netlink.attributes(each)) for each in netlink.ask(FAMILY, Message(GETCHAIN, _TABLE + name))]
        if found != [(hook, port.tap)]:
            raise CloudError(f"the filter of {port.tap}: the kernel took it, and it is not there", hint="see dmesg")


def _refused(port: Port, err: Refused) -> CloudError:
    return CloudError(f"the filter of {port.tap}: {err}", hint=_HINTS.get(err.number, "see dmesg"))


def unmake(name: str) -> None:
    """All chains of the tap *name* away, those that there are. Raises CloudError."""
    messages = tap.unmade(name)
    while messages:
        try:
            netlink.commit(FAMILY, messages)
            return
        except Refused as err:
            if err.number != errno.ENOENT or err.index is None:
                hint = _HINTS.get(err.number, f"nft list table netdev {TABLE}")
                raise CloudError(f"the filter of {name} cannot be removed: {err}", hint=hint) from err
            del messages[err.index]


def exists(name: str) -> bool:
    """Whether there is such an interface."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _rules(chain: bytes) -> list[Rule]:
    found = [netlink.attributes(each) for each in netlink.ask(FAMILY, Message(GETRULE, _TABLE + chain), dump=True)]
    return [Rule(netlink.told(each[2]), _comment(each.get(7, b""))) for each in found]


def _comment(data: bytes) -> str:
    """What nft keeps for itself: a type, a length, and here a string."""
    return netlink.told(data[2 : 2 + data[1]]) if len(data) > 2 and data[0] == 0 else ""


def _hook(chain: dict[int, bytes]) -> tuple[int | None, str]:
    if 4 not in chain:
        return None, ""
    hook = netlink.attributes(chain[4])
    return int.from_bytes(hook[1], "big"), netlink.told(hook.get(3, b""))
