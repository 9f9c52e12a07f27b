# SPDX-License-Identifier: BSD-2-Clause
"""The program ``archipelago``: what an administrator does with images."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from archipelago import images, importing, qemu_img
from archipelago.attached import CONFIG_FILE
from archipelago.cluster import Cluster, connected
from archipelago.parameters import MANUAL, OPTIONS, Settings
from archipelago.progress import Progress
from ganeti_cloud import __version__, config
from ganeti_cloud.errors import CloudError, RequestError, report
from ganeti_cloud.image import ImageRecord
from ganeti_cloud.volume import MIB


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="archipelago")
def cli() -> None:
    """Images and volumes of Ganeti's storage provider "archipelago".

    \b
    Examples:
      archipelago image import debian-13 debian-13-genericcloud-amd64.qcow2
      archipelago image list
      gnt-instance add -t ext --disk 0:size=20G,provider=archipelago,origin=debian-13 ...
    """


@cli.group()
def image() -> None:
    """The images that disks are cloned from.

    \b
    Examples:
      archipelago image import debian-13 debian-13-genericcloud-amd64.qcow2
      archipelago image list
    """


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@image.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_name",
    type=click.Choice(qemu_img.FORMATS),
    help="Format of FILE; otherwise its first bytes decide.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Check name and file, and say what would be done.")
@json_option
def import_(name: str, file: Path, format_name: str | None, dry_run: bool, as_json: bool) -> None:
    """Bring the disk image in FILE (raw or qcow2) into the cluster as NAME.

    The image is in the catalogue when all of it has been written and read back; an import that is interrupted leaves
    nothing that could be cloned, and can simply be started again.

    \b
    Examples:
      archipelago image import debian-13 debian-13-genericcloud-amd64.qcow2
      archipelago image import --format raw appliance appliance.img
    """
    source = qemu_img.examine(file, format_name)
    with _cluster() as cluster:
        if dry_run:
            importing.refuse_existing(cluster, name)
            click.echo(f"would import {file} ({source.format}, {_size(source.size)}) as {name}")
            return
        with Progress(quiet=as_json) as progress:
            record = importing.import_image(cluster, name, source, progress.show)
    click.echo(json.dumps(record._asdict()) if as_json else _described(record))


@image.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the images: name, size, SHA-256, time of import.

    \b
    Examples:
      archipelago image list
      archipelago image list --json | jq -r '.[].name'
    """
    with _cluster() as cluster:
        records = images.records(cluster)
    if as_json:
        click.echo(json.dumps([record._asdict() for record in records]))
        return
    width = max([len(record.name) for record in records], default=0)
    for record in records:
        click.echo(f"{record.name:{width}}  {_size(record.size_bytes):>10}  {record.sha256[:12]}  {record.imported}")


@image.command("info")
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Show what is known of the image NAME, and how many volumes are cloned from it.

    \b
    Example:
      archipelago image info debian-13
    """
    with _cluster() as cluster:
        record = images.record(cluster, name)
        clones = images.clones(cluster, name)
    if as_json:
        click.echo(json.dumps({**record._asdict(), "clones": clones}))
    else:
        click.echo(f"{_described(record)}\nclones:        {len(clones)}")


@image.command("remove")
@click.argument("name")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed, and whether it could be.")
def remove(name: str, dry_run: bool) -> None:
    """Remove the image NAME. An image that volumes are cloned from stays; one that is gone already is no error.

    \b
    Example:
      archipelago image remove debian-11
    """
    with _cluster() as cluster:
        if dry_run:
            record = images.record(cluster, name)
            images.refuse_cloned(name, images.clones(cluster, name))
            click.echo(f"would remove image {name} ({_size(record.size_bytes)})")
            return
        removed = images.remove(cluster, name)
    click.echo(f"image {name} removed" if removed else f"there is no image {name}, nothing to do", err=not removed)


@cli.command("config")
@click.option("--sample", is_flag=True, help="Print a sample file with every key and its default instead.")
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
    values = config.load(CONFIG_FILE, OPTIONS, MANUAL)
    for (section, key), value in values.items():
        click.echo(f"{section}.{key} = {value}")


@contextmanager
def _cluster() -> Iterator[Cluster]:
    with connected(Settings.load(CONFIG_FILE)) as cluster:
        yield cluster


def _described(record: ImageRecord) -> str:
    return "\n".join(
        [
            f"name:          {record.name}",
            f"size:          {_size(record.size_bytes)}",
            f"sha256:        {record.sha256}",
            f"source format: {record.source_format}",
            f"imported:      {record.imported}",
        ]
    )


def _size(size: int) -> str:
    if size < MIB:
        return f"{size} bytes"
    return f"{size / MIB:.0f} MiB" if size < 10 << 30 else f"{size / (1 << 30):.1f} GiB"


# From click 8.2 on the help of a group that is called without a command comes as an error.
_NO_ARGUMENTS: type[Exception] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())


def main() -> int:
    """Run the program; returns its exit status. Every error that a person can mend is two lines on stderr."""
    try:
        cli.main(standalone_mode=False)
    except click.UsageError as err:
        if err.ctx is not None and isinstance(err, _NO_ARGUMENTS):
            click.echo(err.ctx.get_help(), err=True)
            return 2
        command = err.ctx.command_path if err.ctx else "archipelago"
        sys.stderr.write(report(RequestError(err.format_message(), hint=f"see {command} --help")))
        return 2
    except click.Abort:
        sys.stderr.write(report(CloudError("interrupted", hint="nothing half-made is left; start it again")))
        return 130
    except CloudError as err:
        sys.stderr.write(report(err))
        return err.exit_code
    return 0
