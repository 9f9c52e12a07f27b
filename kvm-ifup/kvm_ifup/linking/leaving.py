# SPDX-License-Identifier: BSD-2-Clause
"""What routed taps have left in the node's tables, told from what still has a reason to be there."""

from __future__ import annotations

from collections.abc import Collection

from ganeti_cloud.netlink import Connection
from kvm_ifup.linking import links, neighbours, routes
from kvm_ifup.linking.neighbours import Proxy
from kvm_ifup.linking.routed import Uplinks
from kvm_ifup.linking.routes import FAMILIES, Address


def clear(connection: Connection, taps: Collection[str], addresses: Collection[Address] | None) -> None:
    """Have nothing of *taps* in the tables; those that are still there are set down.

    Of the addresses that the node answers for, those of *addresses* are looked at (None: all): each stays that another
    tap has a route for. What belongs to others stays in any case.
    """
    indices = set()
    for tap in taps:
        if (link := links.found(connection, tap)) is not None:
            links.switch(connection, link.number, is_up=False)  # and with it its routes and neighbours
            indices.add(link.number)
    rules = routes.rules(connection)
    _stop_answering(connection, indices, addresses)
    needed = {(rule.family, rule.table) for rule in rules if rule.tap not in taps}
    for family in FAMILIES:
        for route in routes.routes(connection, family):
            if route.link in indices or (route.address is None and (family, route.table) not in needed):
                routes.remove(connection, family, route)
    # Last: as long as the rules are there, there may be more.
    for tap in {rule.tap for rule in rules} & set(taps):
        routes.remove_rules(connection, tap)


def _stop_answering(connection: Connection, indices: set[int], addresses: Collection[Address] | None) -> None:
    ours = [each for each in neighbours.proxies(connection) if addresses is None or each.address in addresses]
    if not ours:
        return
    uplinks = Uplinks(connection)
    needed, live = set(), set()
    for family in FAMILIES:
        for route in routes.routes(connection, family):
            if route.address is not None and route.link not in indices:
                needed.add(Proxy(route.address, uplinks.of(family, route.table)))
                live.add(route.link)
    for proxy in set(ours) - needed:
        if proxy.link not in live:  # there the node answers a guest, for its gateway
            neighbours.stop_answering(connection, proxy)


def strays(connection: Connection, taps: Collection[str]) -> dict[str, str]:
    """By tap, what is there of others than *taps*."""
    found = {}
    for rule in routes.rules(connection):
        if rule.tap not in taps:
            found[rule.tap] = f"a rule for table {rule.table}"
    names = {index: link.name for index, link in links.all_by_index(connection).items()}
    for family in FAMILIES:
        for route in routes.routes(connection, family):
            name = names.get(route.link)
            if route.address is not None and name is not None and name not in taps:
                found[name] = f"a route for {route.address}"
    return found
