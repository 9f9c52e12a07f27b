# SPDX-License-Identifier: BSD-2-Clause
"""What a tap is made of on this node, by the site's settings."""

from __future__ import annotations

from kvm_ifup.filtering.part import Filter
from kvm_ifup.filtering.settings import FilterSettings
from kvm_ifup.linking.part import LinkPart
from kvm_ifup.running import journal
from kvm_ifup.running.binding import BindingPart
from kvm_ifup.running.site import SiteScripts
from kvm_ifup.running.state import States
from kvm_ifup.running.transaction import Node, Switch
from kvm_ifup.settings import Settings


def node(settings: Settings) -> Node:
    """The node. The filter comes first: what is connected is filtered already."""
    link = LinkPart(settings.rule_priority)
    parts = (filter_(settings), link, BindingPart(settings.bindings))
    return Node(States(), parts, link, SiteScripts(), journal.tell)


def filter_(settings: Settings) -> Filter:
    """The part that also counts what it drops."""
    return Filter(FilterSettings(profiles=settings.profiles, ethertypes=settings.ethertypes))


def closing() -> Switch:
    """What closes a tap, whatever the settings say: their priority of rules is for taps that are made."""
    return LinkPart(0)
