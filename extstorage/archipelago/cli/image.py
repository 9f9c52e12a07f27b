# SPDX-License-Identifier: BSD-2-Clause
"""The commands ``archipelago image``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from archipelago.catalogue import images, importing, qemu_img
from archipelago.cli import common
from archipelago.cli.common import json_option, shown_size
from archipelago.cli.progress import Progress
from archipelago.rados.cluster import Cluster, connected
from ganeti_cloud.image import ImageRecord


@click.group()
def image() -> None:
    """The images that disks are cloned from.

    \b
    Examples:
      archipelago image import debian-13 debian-13-genericcloud-amd64.qcow2
      archipelago image list
    """


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
            click.echo(f"would import {file} ({source.format}, {shown_size(source.size)}) as {name}")
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
        click.echo(
            f"{record.name:{width}}  {shown_size(record.size_bytes):>10}  {record.sha256[:12]}  {record.imported}"
        )


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
            click.echo(f"would remove image {name} ({shown_size(record.size_bytes)})")
            return
        removed = images.remove(cluster, name)
    click.echo(f"image {name} removed" if removed else f"there is no image {name}, nothing to do", err=not removed)


@contextmanager
def _cluster() -> Iterator[Cluster]:
    with connected(common.settings()) as cluster:
        yield cluster


def _described(record: ImageRecord) -> str:
    return "\n".join(
        [
            f"name:          {record.name}",
            f"size:          {shown_size(record.size_bytes)}",
            f"sha256:        {record.sha256}",
            f"source format: {record.source_format}",
            f"imported:      {record.imported}",
        ]
    )
