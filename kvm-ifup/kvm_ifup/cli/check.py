# SPDX-License-Identifier: BSD-2-Clause
"""The command ``kvm-ifup check-config``."""

from __future__ import annotations

import click

from ganeti_cloud import config, program
from kvm_ifup import settings


@click.command("check-config")
@program.config_file(settings.CONFIG_FILE)
@program.sample
def check_config(path: str, sample: bool) -> None:
    """Check the configuration file and print what holds on this node.

    \b
    Examples:
      kvm-ifup check-config
      kvm-ifup check-config --config new.toml && mv new.toml /etc/ganeti-cloud/kvm-ifup.toml
      kvm-ifup check-config --sample
    """
    if sample:
        click.echo(config.sample(settings.OPTIONS), nl=False)
        return
    values = config.load(path, settings.OPTIONS, settings.MANUAL)
    settings.settings_of(values, path)
    for (section, key), value in values.items():
        click.echo(f"{section}.{key} = {value}")
