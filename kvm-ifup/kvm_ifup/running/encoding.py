# SPDX-License-Identifier: BSD-2-Clause
"""A port as JSON, for the file that is kept of it, and back: what is read is checked like any other input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, TypeVar

from ganeti_cloud import binding, netvalues
from kvm_ifup.port import BridgePort, Isolation, Port, Rates, RoutedPort, Sources, SwitchPort, Vlans

Json = dict[str, Any]
_T = TypeVar("_T")


def encode(port: Port) -> Json:
    """What :func:`decode` makes the same port of."""
    return {
        **port._asdict(),
        "mac": port.mac.hex(":"),
        "connection": _connection(port.connection),
        "ip": _text(port.ip),
        "ip6": _text(port.ip6),
        "sources": {"networks4": _texts(port.sources.networks4), "networks6": _texts(port.sources.networks6)},
        "isolation": None if port.isolation is None else port.isolation.mask.hex(":"),
        "rates": port.rates._asdict(),
        "binding": None if port.binding is None else binding.encode(port.binding),
    }


def decode(raw: Mapping[str, Any]) -> Port:
    """The port that *raw* says. Raises ValueError when that is not what :func:`encode` makes."""
    try:
        return _decode(raw)
    except (KeyError, TypeError, AttributeError, binding.BindingError) as err:
        raise ValueError(f"{type(err).__name__}: {err}") from err


def _decode(raw: Mapping[str, Any]) -> Port:
    tap = netvalues.interface_name(_is(str, raw["tap"]))
    # Any mask that is as long as a MAC; it is none of a machine.
    mask = raw["isolation"]
    rates = raw["rates"]
    bound = raw["binding"]
    return Port(
        tap=tap,
        instance=netvalues.domain_name(_is(str, raw["instance"])),
        nic_index=_is(int, raw["nic_index"]),
        nic_uuid=_is(str, raw["nic_uuid"]),
        mac=netvalues.mac(raw["mac"]),
        connection=_connected(raw["connection"]),
        ip=_maybe(IPv4Address, raw["ip"]),
        ip6=_maybe(IPv6Address, raw["ip6"]),
        sources=Sources(
            networks4=_many(IPv4Network, raw["sources"]["networks4"]),
            networks6=_many(IPv6Network, raw["sources"]["networks6"]),
        ),
        macspoof=_is(bool, raw["macspoof"]),
        profile=_is(str, raw["profile"]),
        isolation=None if mask is None else Isolation(_six_bytes(mask)),
        rates=Rates(_maybe_int(rates["sent"]), _maybe_int(rates["received"])),
        mtu=_maybe_int(raw["mtu"]),
        binding=None if bound is None else binding.decode(_is(str, bound), tap),
        network=_is(str, raw["network"]),
        network_tags=_words(raw["network_tags"]),
        instance_tags=_words(raw["instance_tags"]),
    )


def _connection(connection: BridgePort | SwitchPort | RoutedPort) -> Json:
    if isinstance(connection, RoutedPort):
        return {
            "kind": "routed",
            "table": connection.table,
            "gateway": _text(connection.gateway),
            "gateway6": _text(connection.gateway6),
            "mac": connection.mac.hex(":"),
        }
    kind = "bridge" if isinstance(connection, BridgePort) else "switch"
    vlans = None if connection.vlans is None else connection.vlans._asdict()
    return {"kind": kind, "bridge": connection.bridge, "vlans": vlans}


def _connected(raw: Mapping[str, Any]) -> BridgePort | SwitchPort | RoutedPort:
    kind = raw["kind"]
    if kind == "routed":
        return RoutedPort(
            table=_is(str, raw["table"]),
            gateway=_maybe(IPv4Address, raw["gateway"]),
            gateway6=_maybe(IPv6Address, raw["gateway6"]),
            mac=netvalues.mac(raw["mac"]),
        )
    bridge, vlans = netvalues.interface_name(raw["bridge"]), raw["vlans"]
    filtered = None
    if vlans is not None:
        filtered = Vlans(_maybe_int(vlans["untagged"]), tuple(_is(int, each) for each in vlans["tagged"]))
    if kind == "bridge":
        return BridgePort(bridge, filtered)
    if kind == "switch":
        return SwitchPort(bridge, filtered)
    raise ValueError(f"{kind!r} is no kind of connection")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _texts(values: Iterable[object] | None) -> list[str] | None:
    return None if values is None else [str(value) for value in values]


def _is(kind: type[_T], value: Any) -> _T:
    # True is an int to Python.
    if type(value) is not kind:
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return value


def _maybe_int(value: Any) -> int | None:
    return None if value is None else _is(int, value)


def _maybe(read: Callable[[str], _T], value: Any) -> _T | None:
    return None if value is None else read(_is(str, value))


def _many(read: Callable[[str], _T], values: Any) -> tuple[_T, ...] | None:
    return None if values is None else tuple(read(_is(str, value)) for value in _is(list, values))


def _words(values: Any) -> tuple[str, ...]:
    return tuple(_is(str, value) for value in _is(list, values))


def _six_bytes(text: str) -> bytes:
    found = bytes.fromhex(text.replace(":", ""))
    if len(found) != 6:
        raise ValueError(f"{text!r} is not as long as a MAC")
    return found
