# SPDX-License-Identifier: BSD-2-Clause
"""The program ``snf-image``: what an administrator does to try an image, and to see whether this node can deploy."""

from __future__ import annotations

import click

from ganeti_cloud import __version__, config, program
from snf_image.cli.check import check
from snf_image.cli.deploy import deploy
from snf_image.settings import OPTIONS, values_of


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="snf-image")
def cli() -> None:
    """Deployments of disk images, outside of Ganeti.

    \b
    Examples:
      snf-image check
      snf-image deploy --disk /srv/try.raw --image archipelago:debian-13 --hostname try1.example.com
      gnt-instance add -o snf-image+default -O img_id=null ...
    """


for _command in (deploy, check):
    cli.add_command(_command)


@cli.command("config")
@click.option("--variant", default="", help="What holds for this variant of the OS.")
@program.sample
def config_(variant: str, sample: bool) -> None:
    """Check the configuration files and print what holds on this node.

    \b
    Examples:
      snf-image config
      snf-image config --variant windows
      snf-image config --sample > /etc/ganeti-cloud/snf-image.toml
    """
    if sample:
        click.echo(config.sample(OPTIONS), nl=False)
        return
    for (section, key), value in values_of(variant).items():
        click.echo(f"{section}.{key} = {value}")


def main() -> int:
    """Run the program; returns its exit status."""
    return program.run(cli, "snf-image", interrupted="the disk may be half written; start it again")
