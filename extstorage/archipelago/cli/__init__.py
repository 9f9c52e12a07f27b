# SPDX-License-Identifier: BSD-2-Clause
"""The program ``archipelago``: what an administrator does with images and volumes."""

from __future__ import annotations

import click

from archipelago.cli import common
from archipelago.cli.doctor import doctor
from archipelago.cli.gc import gc, maintain
from archipelago.cli.image import image
from archipelago.cli.migrate import migrate
from archipelago.cli.snapshot import snapshot
from archipelago.cli.trash import trash
from archipelago.cli.volume import volume
from archipelago.parameters import OPTIONS
from ganeti_cloud import __version__, config, program


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="archipelago")
@click.option("--driver", help="Where the volumes are, rados or file, instead of the configured driver.")
@click.option("--pool", help="Pool of the volumes, instead of the configured one.")
@click.option("--namespace", help="RADOS namespace of the volumes, instead of the configured one.")
def cli(driver: str | None, pool: str | None, namespace: str | None) -> None:
    """Images and volumes of Ganeti's storage provider "archipelago".

    \b
    Examples:
      archipelago image import debian-13 debian-13-genericcloud-amd64.qcow2
      archipelago image list
      archipelago --pool ssd volume list --long
      gnt-instance add -t ext --disk 0:size=20G,provider=archipelago,origin=debian-13 ...
    """


volume.add_command(migrate)
for group in (image, volume, snapshot, trash, gc, maintain, doctor):
    cli.add_command(group)


@cli.command("config")
@program.sample
def config_(sample: bool) -> None:
    """Check the configuration file and print what holds on this node.

    \b
    Examples:
      archipelago config
      archipelago config --sample > /etc/ganeti-cloud/archipelago.toml
    """
    if sample:
        click.echo(config.sample(OPTIONS), nl=False)
        return
    for (section, key), value in common.config_values().items():
        click.echo(f"{section}.{key} = {value}")


def main() -> int:
    """Run the program; returns its exit status."""
    return program.run(cli, "archipelago", interrupted="nothing half-made is left; start it again")
