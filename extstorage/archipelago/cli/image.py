# SPDX-License-Identifier: BSD-2-Clause
"""The commands ``archipelago image``: here those that speak of the catalogue alone."""

from __future__ import annotations

import json

import click

from archipelago.catalogue import records, removing
from archipelago.cli import common, image_content
from archipelago.cli.common import json_option, shown_size
from archipelago.cli.serve import serve
from archipelago.store import opened
from ganeti_cloud.image import SHORT, Image, Version


@click.group()
def image() -> None:
    """The images that disks are cloned from.

    NAME is the newest version of an image, NAME@sha256:DIGITS a certain one.

    \b
    Examples:
      archipelago image import debian-13 debian-13-genericcloud-amd64.qcow2
      archipelago image list
    """


for _command in (image_content.import_, image_content.sync, image_content.create, image_content.export, serve):
    image.add_command(_command)


@image.command("list")
@click.option("--versions", is_flag=True, help="List all versions, not only the newest.")
@json_option
def list_(versions: bool, as_json: bool) -> None:
    """List the images: name, size, SHA-256, time of import.

    \b
    Examples:
      archipelago image list
      archipelago image list --versions
      archipelago image list --json | jq -r '.[].name'
    """
    with opened(common.settings()) as store:
        images = records.images(store)
    listed = [
        (each, version) for each in images for version in (reversed(each.versions) if versions else [each.newest])
    ]
    if as_json:
        click.echo(json.dumps([{"name": each.name, **version._asdict()} for each, version in listed]))
        return
    width = max([len(each.name) for each, _ in listed], default=0)
    for each, version in listed:
        size, short = shown_size(version.size_bytes), version.sha256[:SHORT]
        click.echo(f"{each.name:{width}}  {size:>10}  {short}  {version.imported}")


@image.command("info")
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Show all versions of the image NAME, or the one of NAME@sha256:DIGITS: properties, and what is cloned from them.

    \b
    Examples:
      archipelago image info debian-13
      archipelago image info debian-13@sha256:c4e454dda559
    """
    with opened(common.settings()) as store:
        found, version = records.require(store, name)
        shown = [version] if "@" in name else list(reversed(found.versions))
        clones = [store.children(records.content_of(each)) for each in shown]
    if as_json:
        told = [{**each._asdict(), "clones": volumes} for each, volumes in zip(shown, clones, strict=True)]
        click.echo(json.dumps({"name": found.name, "versions": told}))
        return
    texts = [_described(found, each, volumes) for each, volumes in zip(shown, clones, strict=True)]
    click.echo("\n\n".join(texts))


def _described(found: Image, version: Version, clones: list[str]) -> str:
    newest = " (newest)" if version is found.newest else ""
    return "\n".join(
        [
            f"name:          {found.name}{newest}",
            f"size:          {shown_size(version.size_bytes)}",
            f"sha256:        {version.sha256}",
            f"source format: {version.source_format}",
            f"imported:      {version.imported}",
            f"clones:        {len(clones)}{', the first is ' + clones[0] if clones else ''}",
            *(f"property:      {key}={value}" for key, value in sorted(version.properties.items())),
        ]
    )


@image.command("set")
@click.argument("name")
@click.argument("property", nargs=-1, metavar="KEY=VALUE...")
@click.option("--unset", multiple=True, metavar="KEY", help="Take this property away; repeatable.")
@json_option
def set_(name: str, property: tuple[str, ...], unset: tuple[str, ...], as_json: bool) -> None:  # noqa: A002
    """Give properties to the newest version of the image NAME, or to NAME@sha256:DIGITS.

    Versions that come later inherit them. Whoever deploys the image knows OSFAMILY, ROOT_PARTITION, USERS,
    PARTITION_TABLE, EXCLUDE_ALL_TASKS and others; any key of capitals, digits and '_' can be set.

    \b
    Examples:
      archipelago image set debian-13 OSFAMILY=linux ROOT_PARTITION=1 "USERS=root debian"
      archipelago image set debian-13 --unset USERS
    """
    new = dict(records.parse_property(text) for text in property)
    with opened(common.settings()) as store:
        version = records.set_properties(store, name, new, unset)
    if as_json:
        click.echo(json.dumps(dict(version.properties)))
        return
    for key, value in sorted(version.properties.items()):
        click.echo(f"{key}={value}")


@image.command("remove")
@click.argument("name")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed.")
@json_option
def remove(name: str, dry_run: bool, as_json: bool) -> None:
    """Remove the image NAME with all its versions, or the one of NAME@sha256:DIGITS.

    It leaves the catalogue at once. Disks that were cloned from it keep their data, and the store lets go of it with
    the last of them. An image that is gone already is no error.

    \b
    Examples:
      archipelago image remove debian-11
      archipelago image remove debian-13@sha256:c4e454dda559
    """
    with opened(common.settings()) as store:
        removal = removing.plan(store, name) if dry_run else removing.remove(store, name)
    if as_json:
        told = {
            "versions": [version.sha256 for version in removal.versions],
            "contents": [content.snapshot for content in removal.contents],
            "kept_for_clones": [content.snapshot for content in removal.kept],
        }
        click.echo(json.dumps(told))
        return
    if not removal.versions:
        click.echo(f"there is no image {name}, nothing to do", err=True)
        return
    versions = f"{len(removal.versions)} version{'s' if len(removal.versions) > 1 else ''}"
    click.echo(f"would remove image {name}, {versions}" if dry_run else f"image {name} removed, {versions}")
    for content in removal.kept:
        click.echo(
            f"its content {content.snapshot[:SHORT]} stays until its clones are gone and `archipelago gc` runs",
            err=True,
        )
