# SPDX-License-Identifier: BSD-2-Clause
"""The command ``nfdhcpd check-config``."""

from __future__ import annotations

import click

from ganeti_cloud import config, program
from nfdhcpd import settings
from nfdhcpd.cli.options import config_file


@click.command("check-config")
@config_file
@program.sample
def check_config(path: str, sample: bool) -> None:
    """Check the configuration file and print what holds on this node.

    \b
    Examples:
      nfdhcpd check-config
      nfdhcpd check-config --config new.toml && mv new.toml /etc/ganeti-cloud/nfdhcpd.toml
      nfdhcpd check-config --sample
    """
    if sample:
        click.echo(config.sample(settings.OPTIONS), nl=False)
        return
    show(path)


def show(path: str) -> None:
    """Print each key of the file at *path* with its value. Raises ConfigError."""
    values = config.load(path, settings.OPTIONS, settings.MANUAL)
    duid = settings.settings_of(values, path).ipv6.duid
    for (section, key), value in values.items():
        click.echo(f"{section}.{key} = {duid.hex(':') if (section, key) == ('ipv6', 'duid') else value}")
