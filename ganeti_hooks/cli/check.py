# SPDX-License-Identifier: BSD-2-Clause
"""The command ``ganeti-cloud-hooks check-config``."""

from __future__ import annotations

import click

from ganeti_cloud import config, program
from ganeti_hooks import settings


@click.command("check-config")
@program.config_file(settings.CONFIG_FILE)
@program.sample
def check_config(path: str, sample: bool) -> None:
    """Check the configuration file and print what holds.

    \b
    Examples:
      ganeti-cloud-hooks check-config
      ganeti-cloud-hooks check-config --config new.toml && mv new.toml /etc/ganeti-cloud/hooks.toml
      ganeti-cloud-hooks check-config --sample
    """
    if sample:
        click.echo(config.sample(settings.OPTIONS), nl=False)
        return
    values = config.load(path, settings.OPTIONS, settings.MANUAL)
    for (section, key), value in values.items():
        click.echo(f"{section}.{key} = {list(value)}")
