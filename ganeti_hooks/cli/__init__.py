# SPDX-License-Identifier: BSD-2-Clause
"""The program ``ganeti-cloud-hooks``: what an administrator asks of the hooks."""

from __future__ import annotations

import click

from ganeti_cloud import __version__, program
from ganeti_hooks.cli.check import check_config
from ganeti_hooks.cli.status import status


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ganeti-cloud-hooks")
def cli() -> None:
    """The hooks by which Ganeti's operations are told of.

    \b
    Examples:
      ganeti-cloud-hooks status
      ganeti-cloud-hooks check-config
    """


for _command in (status, check_config):
    cli.add_command(_command)


def main() -> int:
    """Run the program; returns its exit status."""
    return program.run(cli, "ganeti-cloud-hooks")
