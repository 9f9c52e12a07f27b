# SPDX-License-Identifier: BSD-2-Clause
"""What a tap is made of on this node, by the site's settings."""

from __future__ import annotations

from kvm_ifup.filtering.part import FilterPart, FilterSettings
from kvm_ifup.linking.part import LinkPart
from kvm_ifup.running import journal
from kvm_ifup.running.binding import BindingPart
from kvm_ifup.running.site import SiteScripts
from kvm_ifup.running.state import States
from kvm_ifup.running.transaction import Node, Switch
from kvm_ifup.settings import Settings


def node(settings: Settings) -> Node:
    """The node. The filter comes first: what is connected is filtered already."""
    filter_ = FilterPart(FilterSettings(mark=settings.mark, profiles=settings.profiles, ethertypes=settings.ethertypes))
    link = LinkPart(settings.rule_priority)
    return Node(States(), (filter_, link, BindingPart(settings.bindings)), link, SiteScripts(), journal.tell)


def switch() -> Switch:
    """What closes a tap, whatever the settings say."""
    return LinkPart()
