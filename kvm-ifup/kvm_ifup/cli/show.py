# SPDX-License-Identifier: BSD-2-Clause
"""The command ``kvm-ifup show``."""

from __future__ import annotations

import json
from typing import Any

import click

from ganeti_cloud.errors import RequestError
from kvm_ifup import settings
from kvm_ifup.port import BridgePort, Port, RoutedPort
from kvm_ifup.running import assembly, device, encoding, overflowing, reconciling
from kvm_ifup.running.state import State
from kvm_ifup.running.transaction import Node


@click.command()
@click.argument("which", metavar="[TAP|INSTANCE]", required=False)
@click.option("--counters", is_flag=True, help="Print how many packets were dropped, by reason, instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(which: str | None, counters: bool, as_json: bool) -> None:
    """Print the taps of this node, or those of one guest: whose they are, and what is wrong with them.

    \b
    Examples:
      kvm-ifup show
      kvm-ifup show web1.example.com --json | jq '.[].port.profile'
      kvm-ifup show --counters
    """
    if counters:
        _print_counters(as_json)
        return
    loaded = settings.load()
    node = assembly.node(loaded)
    problems = reconciling.problems(node)
    for tap, packets in assembly.filter_(loaded).overflows().items():
        problems.setdefault(tap, []).append(overflowing.told(packets))
    rows = _rows(node, problems)
    if which is not None:
        rows = {tap: row for tap, row in rows.items() if which in (tap, row["instance"])}
        if not rows:
            raise RequestError(f"{which} has no tap here", hint="kvm-ifup show lists the taps of this node")
    if as_json:
        click.echo(json.dumps(list(rows.values()), indent=1))
        return
    if not rows:
        click.echo("there are no taps")
    for row in rows.values():
        _print(row)


def _rows(node: Node, problems: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    states = {state.port.tap: state for state in node.states.all() if isinstance(state, State)}
    rows = {}
    for tap in sorted({*states, *problems}):
        state = states.get(tap)
        rows[tap] = {
            "tap": tap,
            "instance": None if state is None else state.port.instance,
            "phase": None if state is None else state.phase,
            "up": device.is_up(tap),
            "flavour": None if state is None else _flavour(state.port),
            "port": None if state is None else encoding.encode(state.port),
            "problems": problems.get(tap, []),
        }
    return rows


def _flavour(port: Port) -> str:
    connection = port.connection
    if isinstance(connection, RoutedPort):
        return f"routed, table {connection.table}"
    kind = "bridge" if isinstance(connection, BridgePort) else "switch"
    isolated = "" if port.isolation is None else ", isolated"
    return f"{kind} {connection.bridge}{isolated}"


def _print(row: dict[str, Any]) -> None:
    port = row["port"]
    status = "up" if row["up"] else "down"
    if port is None:
        click.echo(f"{row['tap']}: {status}")
    else:
        addresses = " ".join(each for each in (port["ip"], port["ip6"]) if each)
        click.echo(f"{row['tap']}: {status}, {row['instance']} NIC {port['nic_index']}, MAC {port['mac']} {addresses}")
        click.echo(f"  {row['flavour']}; profile {port['profile']}")
    for problem in row["problems"]:
        click.echo(f"  problem: {problem}")


def _print_counters(as_json: bool) -> None:
    dropped = assembly.filter_(settings.load()).dropped()
    if as_json:
        click.echo(json.dumps(dropped, indent=1))
        return
    for reason, packets in dropped.items():
        click.echo(f"{reason}: {packets}")
