# SPDX-License-Identifier: BSD-2-Clause
"""``nfdhcpd rules``: the packet filter's part, put in, taken out and looked at."""

from __future__ import annotations

import json

import click

from ganeti_cloud import config
from nfdhcpd import settings
from nfdhcpd.cli.options import config_file
from nfdhcpd.rules import applying
from nfdhcpd.rules.applying import Backend, Found, State, Step
from nfdhcpd.rules.options import RulesSettings
from nfdhcpd.rules.wanted import Wanted, wanted

_ONLY_THE_DAEMON = "nft is not there or cannot do it: only the daemon itself limits how much of one guest is looked at"

_dry_run = click.option("--dry-run", is_flag=True, help="Only print what nft and iptables would be given.")


@click.group()
def rules() -> None:
    """The packet filter's rules that bring guests' packets to the daemon.

    \b
    Examples:
      nfdhcpd rules apply --dry-run
      nfdhcpd rules apply
      nfdhcpd rules show
      nfdhcpd rules remove
    """


@rules.command()
@config_file
@_dry_run
def apply(path: str, dry_run: bool) -> None:
    """Put the rules of the configuration file into the kernel, in the place of any that are there.

    Only DHCP, router and neighbour solicitations of taps are touched, and they pass where no daemon runs. Repeating
    it changes nothing.

    \b
    Examples:
      nfdhcpd rules apply
      nfdhcpd rules apply --dry-run
    """
    asked = _asked(path)
    plan = applying.plan(asked, applying.survey())
    if dry_run:
        _print(plan.steps)
        return
    applying.perform(plan.steps)
    click.echo(f"rules applied by {plan.backend}: {_summary(asked)}")
    if not plan.limited:
        click.echo(f"note: {_ONLY_THE_DAEMON}")


@rules.command()
@_dry_run
def remove(dry_run: bool) -> None:
    """Take out the rules that `nfdhcpd rules apply` put in, and no others. Repeating it changes nothing.

    \b
    Examples:
      nfdhcpd rules remove
    """
    steps = applying.removal(applying.survey())
    if dry_run:
        _print(steps)
        return
    applying.perform(steps)
    click.echo("rules removed" if steps else "there are no rules, nothing to do")


@rules.command()
@config_file
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(path: str, as_json: bool) -> None:
    """Print which rules there are, with their counters, and whether they are those of the configuration file.

    \b
    Examples:
      nfdhcpd rules show
      nfdhcpd rules show --json | jq .state
    """
    asked = _asked(path)
    found = applying.survey()
    state = applying.state(asked, found)
    if as_json:
        click.echo(json.dumps(_as_json(asked, found, state), indent=1))
        return
    if state is State.ABSENT:
        click.echo("there are no rules: no packet reaches the daemon; see nfdhcpd rules apply")
        return
    told = f"rules applied by {applying.backend(found)}: {_summary(asked)}"
    click.echo(told if state is State.APPLIED else "there are rules for other settings; see nfdhcpd rules apply")
    if not applying.limited(found):
        click.echo(f"note: {_ONLY_THE_DAEMON}")
    for line in found.lines:
        click.echo(line)


def _asked(path: str) -> Wanted:
    values = config.load(path, settings.OPTIONS, settings.MANUAL)
    site = settings.settings_of(values, path)
    return wanted(site.dhcp4, site.ipv6, site.limits, RulesSettings.of(values))


def _summary(asked: Wanted) -> str:
    queues = ", ".join(f"{each.kind.name} {each.queue}" for each in asked.traffic) or "none"
    return f"taps {' '.join(asked.rules.taps)}, queues {queues}"


def _as_json(asked: Wanted, found: Found, state: State) -> dict[str, object]:
    backend: Backend | None = None if state is State.ABSENT else applying.backend(found)
    return {
        "state": state,
        "backend": backend,
        "kernel_limits": applying.limited(found),
        "taps": list(asked.rules.taps),
        "queues": {each.kind.name: each.queue for each in asked.traffic},
        "rules": found.lines,
    }


def _print(steps: tuple[Step, ...]) -> None:
    for step in steps:
        arguments = "-f -" if step.program == "nft" else "--noflush"
        program = step.program if step.program == "nft" else f"{step.program}-restore"
        click.echo(f"# {program} {arguments}\n{step.text}", nl=False)
