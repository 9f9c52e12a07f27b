# SPDX-License-Identifier: BSD-2-Clause
"""What the tags of an instance say of one of its NICs, and those of a network of all of its own.

A tag that begins as the site's settings say has to be right in all that follows, for what was meant by a wrong one is
not known; every other tag counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from ganeti_cloud import netvalues
from ganeti_cloud.errors import RequestError
from kvm_ifup.deciding.environment import Network, Nic
from kvm_ifup.port import Rates
from kvm_ifup.settings import Settings

T = TypeVar("T")


class Wishes(NamedTuple):
    """Of an instance, for one NIC."""

    profile: str
    rates: Rates
    macspoof: bool


class Kind(NamedTuple):
    """Of a network."""

    routed: bool = False
    isolated: bool = False
    vlan: bool = False
    nfdhcpd: bool = False
    no_router: bool = False
    mtu: int | None = None


def wishes(nic: Nic, settings: Settings) -> Wishes:
    """What *nic* is to be by the tags of its instance.

    Raises RequestError for a tag that is malformed, whichever NIC it is about, and for two that contradict each other.
    """
    return Wishes(_profile(nic, settings), _rates(nic, settings), _macspoof(nic, settings))


def kind(network: Network | None, settings: Settings) -> Kind:
    """What *network* is by its tags. Raises RequestError when they contradict each other."""
    if network is None:
        return Kind()
    words = settings.tags
    found = Kind(
        routed=words.routed in network.tags,
        isolated=words.isolated in network.tags,
        vlan=words.vlan in network.tags,
        nfdhcpd=words.nfdhcpd in network.tags,
        no_router=words.no_router in network.tags,
        mtu=_mtu(network, words.mtu),
    )
    flavours = [tag for tag in (words.routed, words.isolated, words.vlan) if tag in network.tags]
    if len(flavours) > 1:
        raise _contradiction(f"network {network.name}", flavours)
    return found


def _profile(nic: Nic, settings: Settings) -> str:
    prefix = settings.tags.profile
    found = {}
    for tag, rest in _with(prefix, nic.tags):
        which, _, name = rest.rpartition(":")
        if not which or not name:
            raise _malformed(tag, f"{prefix}NIC:PROFILE")
        if name not in settings.profiles:
            raise RequestError(
                f"tag {tag!r}: there is no firewall profile {name!r}",
                hint=f"the profiles are {', '.join(settings.profiles)}; gnt-instance remove-tags takes the tag off",
            )
        if _is(nic, which):
            found[tag] = name
    return _only(f"NIC {nic.nic_index}", found, settings.default_profile)


def _rates(nic: Nic, settings: Settings) -> Rates:
    prefix = settings.tags.rate
    found = {}
    for tag, rest in _with(prefix, nic.tags):
        try:
            which, sent, received = rest.rsplit(":", 2)
            rates = Rates(_rate(sent), _rate(received))
        except ValueError:
            raise _malformed(
                tag, f"{prefix}NIC:SENT:RECEIVED, each like 500k, 20M or 1G, or '-' for no limit"
            ) from None
        if not which:
            raise _malformed(tag, f"{prefix}NIC:SENT:RECEIVED")
        if _is(nic, which):
            found[tag] = rates
    return _only(f"NIC {nic.nic_index}", found, Rates())


_KILOBITS = {"k": 1, "M": 1000, "G": 1000_000}
_rate_number = netvalues.number("units", 1, 999_999)


def _rate(text: str) -> int | None:
    """Kilobits a second; None for no limit."""
    if text == "-":
        return None
    if text[-1:] not in _KILOBITS:
        raise ValueError("a rate")
    return _rate_number(text[:-1]) * _KILOBITS[text[-1]]


def _macspoof(nic: Nic, settings: Settings) -> bool:
    prefix = settings.tags.macspoof
    found = False
    for tag, which in _with(prefix, nic.tags):
        if not which:
            raise _malformed(tag, f"{prefix}NIC")
        found = found or _is(nic, which)
    return found


# The least that IPv4 works with (RFC 791).
_mtu_number = netvalues.number("bytes", 68, 65535)


def _mtu(network: Network, prefix: str) -> int | None:
    found: dict[str, int | None] = {}
    for tag, rest in _with(prefix, network.tags):
        try:
            found[tag] = _mtu_number(rest)
        except ValueError as err:
            raise RequestError(
                f"network {network.name}: tag {tag!r} does not end with {err}",
                hint="gnt-network remove-tags takes it off",
            ) from err
    return _only(f"network {network.name}", found, None)


def _with(prefix: str, tags: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of *tags* that begin so, each with its rest."""
    return ((tag, tag[len(prefix) :]) for tag in tags if tag.startswith(prefix))


def _is(nic: Nic, which: str) -> bool:
    """Whether *which* of a tag is *nic*: its index, its UUID or its name."""
    return which in (str(nic.nic_index), nic.name) or which.lower() == nic.uuid


def _only(whose: str, found: dict[str, T], default: T) -> T:
    """The one thing that the tags *found* say, or *default*."""
    if len(set(found.values())) > 1:
        raise _contradiction(whose, list(found))
    return next(iter(found.values()), default)


def _contradiction(whose: str, tags: list[str]) -> RequestError:
    return RequestError(
        f"{whose}: tags {' and '.join(map(repr, tags))} contradict each other",
        hint="take one of them off, by gnt-instance or gnt-network remove-tags",
    )


def _malformed(tag: str, form: str) -> RequestError:
    return RequestError(
        f"tag {tag!r} is not {form}",
        hint="NIC is the index, the name or the UUID of one; gnt-instance remove-tags takes the tag off",
    )
