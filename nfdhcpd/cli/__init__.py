# SPDX-License-Identifier: BSD-2-Clause
"""The program ``nfdhcpd``: the daemon, and what an administrator asks it."""

from __future__ import annotations

import click

from ganeti_cloud import __version__, program
from nfdhcpd.cli.answers import answers
from nfdhcpd.cli.check import check_config
from nfdhcpd.cli.leases import leases
from nfdhcpd.cli.rules import rules
from nfdhcpd.cli.run import run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nfdhcpd")
def cli() -> None:
    """Addresses for the guests of this node: DHCPv4, DHCPv6, router and neighbour advertisements on their taps.

    \b
    Examples:
      nfdhcpd check-config
      nfdhcpd rules show
      nfdhcpd leases
      nfdhcpd answers tap0
    """


for _command in (run, check_config, leases, answers, rules):
    cli.add_command(_command)


def main() -> int:
    """Run the program; returns its exit status."""
    return program.run(cli, "nfdhcpd")
