# SPDX-License-Identifier: BSD-2-Clause
"""From a NIC to a tap."""

from __future__ import annotations

from ganeti_cloud.binding import Binding
from ganeti_cloud.errors import RequestError
from kvm_ifup.deciding import addresses, connection, tags
from kvm_ifup.deciding.addresses import Addresses
from kvm_ifup.deciding.environment import Nic
from kvm_ifup.deciding.tags import Kind
from kvm_ifup.port import BridgePort, Isolation, Port, RoutedPort, Sources, SwitchPort
from kvm_ifup.settings import Settings

# RFC 8200, 5.
_LEAST_MTU_OF_IPV6 = 1280


def decide(nic: Nic, settings: Settings) -> Port:
    """What the tap of *nic* is to be.

    Raises RequestError when that is not known for certain: something is missing, wrong, or contradicts something else.
    """
    kind, wishes = tags.kind(nic.network, settings), tags.wishes(nic, settings)
    own = addresses.addresses(nic)
    connected = connection.connection(nic, kind, own, settings.tap_mac)
    if wishes.macspoof:
        _refuse_macspoof(nic, kind)
    if kind.mtu is not None and kind.mtu < _LEAST_MTU_OF_IPV6 and own.ip6 is not None:
        raise RequestError(
            f"network {nic.network_name}: an MTU of {kind.mtu} is too small for IPv6",
            hint=f"IPv6 needs {_LEAST_MTU_OF_IPV6} bytes; correct the tag {settings.tags.mtu}{kind.mtu}",
        )
    return Port(
        tap=nic.interface,
        instance=nic.instance,
        nic_index=nic.nic_index,
        nic_uuid=nic.uuid,
        mac=nic.mac,
        connection=connected,
        ip=own.ip,
        ip6=own.ip6,
        sources=_sources(nic, kind, own, wishes.macspoof, settings),
        macspoof=wishes.macspoof,
        profile=wishes.profile,
        isolation=_isolation(nic, kind, settings),
        rates=wishes.rates,
        mtu=kind.mtu,
        binding=_binding(nic, kind, own, connected, macspoof=wishes.macspoof),
        network=nic.network_name,
        network_tags=nic.network.tags if nic.network else (),
        instance_tags=nic.tags,
    )


def _refuse_macspoof(nic: Nic, kind: Kind) -> None:
    # Of an isolated network a MAC is what says whose a frame is; on a routed tap there is nobody to send one to.
    if kind.isolated or nic.mode == "routed":
        why = "isolated by its MAC" if kind.isolated else "routed"
        raise RequestError(
            f"NIC {nic.nic_index} may have any MAC by a tag, and is {why}",
            hint="take the tag off (gnt-instance remove-tags), or connect the NIC to a bridge of its tenant's own",
        )


def _isolation(nic: Nic, kind: Kind, settings: Settings) -> Isolation | None:
    if not kind.isolated or nic.network is None:
        return None
    prefix = nic.network.mac_prefix
    if prefix is None:
        raise RequestError(
            f"network {nic.network.name} is isolated by MAC, and has no MAC prefix of its own",
            hint="give it one that no other network has: gnt-network modify --mac-prefix",
        )
    if not nic.mac.startswith(prefix):
        raise RequestError(
            f"MAC {nic.mac.hex(':')} does not begin with the prefix of network {nic.network.name}, {prefix.hex(':')}",
            hint="let Ganeti make one: gnt-instance modify --net N:modify,mac=generate",
        )
    return Isolation(settings.mac_mask)


def _sources(nic: Nic, kind: Kind, own: Addresses, macspoof: bool, settings: Settings) -> Sources:
    if macspoof:
        return Sources(None, None)
    if nic.mode == "routed" or settings.unknown_address == "none":
        unknown_is_open = False
    else:
        # In a network that many share Ganeti knows every address; what one tenant has in its own only hurts itself.
        is_shared = nic.network is not None and not kind.isolated and not kind.vlan
        unknown_is_open = settings.unknown_address == "any" or not is_shared
    return addresses.sources(nic, own, link_local=settings.link_local, unknown_is_open=unknown_is_open)


def _binding(
    nic: Nic, kind: Kind, own: Addresses, connected: BridgePort | SwitchPort | RoutedPort, *, macspoof: bool
) -> Binding | None:
    network = nic.network
    if network is None or not kind.nfdhcpd or (own.ip is None and own.ip6 is None):
        return None
    if own.ip is not None and network.subnet is None:
        raise RequestError(
            f"network {network.name} is served by nfdhcpd, and has no subnet to tell of",
            hint="gnt-network info shows it; make a network with --network=SUBNET, or take the tag off",
        )
    return Binding(
        tap=nic.interface,
        mac=nic.mac,
        hostname=nic.instance,
        indev=nic.interface if isinstance(connected, RoutedPort) else connected.bridge,
        ip=own.ip,
        subnet=network.subnet if own.ip else None,
        gateway=network.gateway if own.ip else None,
        ip6=None if own.is_made else own.ip6,
        subnet6=network.subnet6,
        gateway6=network.gateway6,
        private=kind.no_router,
        macspoof=macspoof,
        mtu=kind.mtu,
        tags=network.tags,
    )
