# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti says of one NIC, in the environment of its script; every value is checked here, and only here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple, TypeVar

from ganeti_cloud import netvalues
from ganeti_cloud.errors import RequestError
from kvm_ifup.deciding import readers
from kvm_ifup.port import Vlans

T = TypeVar("T")
D = TypeVar("D")

MODES = ("bridged", "openvswitch", "routed")


class Network(NamedTuple):
    """Ganeti's network of a NIC (gnt-network(8))."""

    name: str
    uuid: str
    tags: tuple[str, ...]
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    mac_prefix: bytes | None = None
    """Three bytes."""


class Nic(NamedTuple):
    """One NIC of an instance, and the tap that is made for it."""

    interface: str
    instance: str
    nic_index: int
    uuid: str
    """Empty where Ganeti says none."""
    name: str
    """Empty for one without."""
    mac: bytes
    mode: str
    """One of :data:`MODES`."""
    link: str
    """Bridge or routing table; empty where the cluster's default is so."""
    vlans: Vlans | None
    ip: IPv4Address | IPv6Address | None
    tags: tuple[str, ...]
    """The instance's."""
    network: Network | None
    action: str
    """``up`` or ``down`` as Ganeti from 3.2 on says it; empty for Ganeti 3.0 and 3.1."""
    migration_phase: str
    """``pre`` or ``post`` from Ganeti 3.2 on; empty when nothing migrates."""

    @property
    def network_name(self) -> str:
        """Empty without a network."""
        return self.network.name if self.network else ""


_BY_GANETI = "Ganeti sets it: start the instance by gnt-instance"
_HINT = "gnt-instance info shows the NIC, gnt-network info its network; correct it there and start the instance again"


def read(environ: Mapping[str, str]) -> Nic:
    """The NIC of which *environ* tells. Raises RequestError that names the first variable that cannot be right."""
    said = _Said(environ)
    mode = said.needed("MODE", _mode)
    nic = Nic(
        interface=said.needed("INTERFACE", readers.interface),
        instance=said.needed("INSTANCE", netvalues.domain_name),
        nic_index=said.needed("INTERFACE_INDEX", netvalues.number("a NIC", 0, 255)),
        uuid=said.value("INTERFACE_UUID", readers.uuid, ""),
        name=said.value("INTERFACE_NAME", readers.name, ""),
        mac=said.needed("MAC", netvalues.mac),
        mode=mode,
        link=said.value("LINK", readers.table if mode == "routed" else readers.interface, ""),
        vlans=said.value("VLAN", readers.vlans, None),
        ip=said.value("IP", netvalues.address, None),
        tags=said.value("TAGS", readers.tags, ()),
        network=_network(said),
        action=said.value("ACTION", readers.one_of("up", "down"), ""),
        migration_phase=said.value("MIGRATION_PHASE", readers.one_of("pre", "post"), ""),
    )
    bridge = said.value("BRIDGE", readers.interface, nic.link)
    if mode != "routed" and bridge != nic.link:
        raise RequestError(f"BRIDGE={bridge!r} is not LINK, {nic.link!r}", hint=_HINT)
    return nic


def _mode(text: str) -> str:
    if text == "ext":
        raise ValueError(
            "a mode that can be filtered here: with it, scripts of the site in /etc/ganeti/network/ext do all"
        )
    return readers.one_of(*MODES)(text)


_OF_NETWORKS = (
    "NETWORK_NAME",
    "NETWORK_UUID",
    "NETWORK_TAGS",
    "NETWORK_SUBNET",
    "NETWORK_GATEWAY",
    "NETWORK_SUBNET6",
    "NETWORK_GATEWAY6",
    "NETWORK_MAC_PREFIX",
)


def _network(said: _Said) -> Network | None:
    if not any(said.has(name) for name in _OF_NETWORKS):
        return None
    return Network(
        name=said.needed("NETWORK_NAME", readers.name),
        uuid=said.value("NETWORK_UUID", readers.uuid, ""),
        tags=said.value("NETWORK_TAGS", readers.tags, ()),
        subnet=said.value("NETWORK_SUBNET", netvalues.network4, None),
        gateway=said.value("NETWORK_GATEWAY", netvalues.ipv4, None),
        subnet6=said.value("NETWORK_SUBNET6", netvalues.network6, None),
        gateway6=said.value("NETWORK_GATEWAY6", netvalues.ipv6, None),
        mac_prefix=said.value("NETWORK_MAC_PREFIX", readers.mac_prefix, None),
    )


class _Said:
    """The variables; an empty one is as good as none, for that is how Ganeti writes what is not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def has(self, name: str) -> bool:
        """Whether the variable *name* says something."""
        return bool(self._environ.get(name))

    def needed(self, name: str, read: Callable[[str], T]) -> T:
        """The value of the variable *name*."""
        text = self._environ.get(name)
        if not text:
            raise RequestError(f"there is no {name} in the environment", hint=_BY_GANETI)
        return _read(name, text, read)

    def value(self, name: str, read: Callable[[str], T], default: D) -> T | D:
        """The value of the variable *name*, or *default*."""
        text = self._environ.get(name)
        return _read(name, text, read) if text else default


def _read(name: str, text: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except ValueError as err:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise RequestError(f"{name}={shown!r} is not {err}", hint=_HINT) from err


_SHOWN = 60
