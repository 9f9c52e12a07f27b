# SPDX-License-Identifier: BSD-2-Clause
"""What routed taps have left in the node's tables, told from what still has a reason to be there."""

from __future__ import annotations

from collections.abc import Collection

from ganeti_cloud.netlink import Connection
from kvm_ifup.linking import links, neighbours, routes
from kvm_ifup.linking.neighbours import Proxy
from kvm_ifup.linking.routed import Uplinks
from kvm_ifup.linking.routes import FAMILIES, Address, Route

Family = tuple[int, int, Address]
"""The number of a family, of a table, and the guest's address."""


def clear(connection: Connection, tap: str, families: Collection[Family]) -> None:
    """Have nothing of *tap* in the tables, what of others is there in any case; if it is still there, it is set down.

    Costs next to nothing for what there is of other taps.
    """
    link = links.found(connection, tap)
    if link is not None:
        links.switch(connection, link.number, is_up=False)  # and with it its routes and neighbours
    for family, table, address in families:
        uplinks = Uplinks(connection)
        others = routes.routes(connection, family, address=address)
        needed = {uplinks.of(family, route.table) for route in others}
        for proxy in neighbours.proxies(connection, address):
            if proxy.link not in needed:
                neighbours.stop_answering(connection, proxy)
        if not routes.has_rule(connection, family, table, besides=tap):
            routes.remove(connection, family, Route(table, None, 0))
    # Last: as long as the rules are there, there may be more.
    routes.remove_rules(connection, tap)


def sweep(connection: Connection, taps: Collection[str]) -> None:
    """Have nothing of *taps* in the tables, of which no more than the names is known; those still there are set down.

    The node answers only for addresses that a tap has a route for, and a table needs its backstop only for rules.
    """
    for tap in taps:
        if (link := links.found(connection, tap)) is not None:
            links.switch(connection, link.number, is_up=False)
    _stop_answering(connection)
    rules = routes.rules(connection)
    needed = {(rule.family, rule.table) for rule in rules if rule.tap not in taps}
    for family in FAMILIES:
        for route in routes.routes(connection, family):
            if route.address is None and (family, route.table) not in needed:
                routes.remove(connection, family, route)
    for tap in {rule.tap for rule in rules} & set(taps):
        routes.remove_rules(connection, tap)


def _stop_answering(connection: Connection) -> None:
    uplinks = Uplinks(connection)
    needed, live = set(), set()
    for family in FAMILIES:
        for route in routes.routes(connection, family):
            if route.address is not None:
                needed.add(Proxy(route.address, uplinks.of(family, route.table)))
                live.add(route.link)
    for proxy in set(neighbours.proxies(connection)) - needed:
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
