# SPDX-License-Identifier: BSD-2-Clause
"""The program ``kvm-ifup``: what an administrator does with the taps of a node, and asks of them."""

from __future__ import annotations

import click

from ganeti_cloud import __version__, program
from kvm_ifup.cli.check import check_config
from kvm_ifup.cli.reconcile import reconcile
from kvm_ifup.cli.refresh import refresh
from kvm_ifup.cli.show import show
from kvm_ifup.cli.taps import down, release, up


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kvm-ifup")
def cli() -> None:
    """The taps of this node's guests: connected and filtered, or closed.

    \b
    Examples:
      kvm-ifup show
      kvm-ifup reconcile --dry-run
      kvm-ifup refresh web1.example.com
    """


for _command in (up, down, release, refresh, reconcile, show, check_config):
    cli.add_command(_command)


def main() -> int:
    """Run the program; returns its exit status."""
    return program.run(cli, "kvm-ifup")
