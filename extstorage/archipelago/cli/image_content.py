# SPDX-License-Identifier: BSD-2-Clause
"""The commands ``archipelago image`` that bring contents in and out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click

from archipelago.catalogue import exporting, hashing, importing, raw, records
from archipelago.cli import common
from archipelago.cli.common import json_option, shown_size
from archipelago.cli.progress import Progress
from archipelago.contract.contents import Reader
from archipelago.store import opened
from ganeti_cloud.errors import RequestError
from ganeti_cloud.image import SHORT, checked_name, parse_snapshot
from ganeti_cloud.imagefile import fetching, formats, qemu_img

_format_option = click.option(
    "--format",
    "format_name",
    type=click.Choice(formats.FORMATS),
    help="Format of SOURCE; otherwise its first and last bytes decide.",
)
_checksum_option = click.option(
    "--checksum",
    metavar="ALGORITHM:HEX",
    help="sha256:... or sha512:... that SOURCE must have as it comes, before it is unpacked.",
)
_dry_run_option = click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


@click.command("import")
@click.argument("name")
@click.argument("source", type=click.Path(allow_dash=True))
@_format_option
@_checksum_option
@_dry_run_option
@json_option
def import_(
    name: str, source: str, format_name: str | None, checksum: str | None, dry_run: bool, as_json: bool
) -> None:
    """Bring the disk image SOURCE into the store as the new image NAME.

    SOURCE is a file, an https:// URL, or - for standard input: raw, qcow2, vmdk, vpc (vhd) or vhdx, as it is or
    compressed with gzip, xz, zstd or bzip2. What the store has already is not stored again. An import that is
    interrupted leaves nothing that could be cloned; start it again.

    \b
    Examples:
      archipelago image import debian-13 debian-13-genericcloud-amd64.qcow2
      archipelago image import debian-13 https://example.org/debian-13.qcow2 --checksum sha512:9b2c...
      xz -dc appliance.img.xz | archipelago image import --format raw appliance -
    """
    _bring_in(name, source, format_name, checksum, dry_run=dry_run, as_json=as_json, only_new=True)


@click.command("sync")
@click.argument("name")
@click.argument("source", type=click.Path(allow_dash=True))
@_format_option
@_checksum_option
@_dry_run_option
@json_option
def sync(name: str, source: str, format_name: str | None, checksum: str | None, dry_run: bool, as_json: bool) -> None:
    """Make SOURCE the newest version of the image NAME, writing only the blocks that changed.

    SOURCE is as with import. It is hashed first; blocks of 4 MiB that the last version has as well are shared with it.
    An image that is not there is made. Disks that were cloned from earlier versions keep them.

    \b
    Examples:
      archipelago image sync debian-13 debian-13-genericcloud-amd64.qcow2
      archipelago image sync --dry-run debian-13 debian-13-genericcloud-amd64.qcow2
    """
    _bring_in(name, source, format_name, checksum, dry_run=dry_run, as_json=as_json, only_new=False)


def _bring_in(
    name: str,
    source: str,
    format_name: str | None,
    checksum: str | None,
    *,
    dry_run: bool,
    as_json: bool,
    only_new: bool,
) -> None:
    checked_name(name)
    fetching.check(source)
    wanted = None if checksum is None else fetching.parse_checksum(checksum)
    settings = common.settings()
    with opened(settings) as store, Progress(quiet=as_json) as progress:
        limit = settings.limit_gib << 30
        with _hashed(source, format_name, wanted, limit, progress) as content:
            if dry_run:
                if only_new:
                    importing.refuse_other_content(name, records.image(store, name), content.hashes.sha256)
                changed, blocks = importing.plan(store, name, content.hashes)
            else:
                outcome = importing.bring_in(store, name, content, progress.show, only_new=only_new)
    if dry_run:
        _tell_plan(name, content, changed, blocks, as_json=as_json)
    else:
        _tell(outcome, as_json=as_json)


@contextmanager
def _hashed(
    source: str, format_name: str | None, checksum: fetching.Checksum | None, limit: int, progress: Progress
) -> Iterator[importing.Source]:
    """*source*, hashed, for as long as the block lasts."""
    with fetching.fetched(source, checksum, limit, progress.show) as path:
        examined = qemu_img.examine(path, format_name, limit, fetching.shown(source))
        with _reader(examined) as reader:
            hashes = hashing.hashes(reader, lambda percent: progress.show("hashing", percent))
            yield importing.Source(reader, hashes, examined.format, examined.shown)


def _reader(source: qemu_img.Source) -> AbstractContextManager[Reader]:
    if source.format == "raw":
        return raw.opened(source)
    from ganeti_cloud.imagefile import nbd_server  # libnbd is not needed for anything else

    return nbd_server.opened(source)


def _tell_plan(name: str, content: importing.Source, changed: int, blocks: int, *, as_json: bool) -> None:
    hashes = content.hashes
    if as_json:
        told = {"name": name, "sha256": hashes.sha256, "size_bytes": hashes.size, "source_format": content.format}
        click.echo(json.dumps(told | {"blocks": blocks, "blocks_written": changed}))
        return
    click.echo(
        f"would write {changed} of {blocks} blocks of {content.shown} ({content.format}, {shown_size(hashes.size)}) "
        f"for {name}@sha256:{hashes.sha256[:SHORT]}"
    )


def _tell(outcome: importing.Outcome, *, as_json: bool) -> None:
    if as_json:
        told = {**outcome._asdict(), **outcome.version._asdict()}
        del told["version"]
        click.echo(json.dumps(told))
        return
    name = f"{outcome.name}@sha256:{outcome.version.sha256[:SHORT]}"
    if not outcome.new:
        click.echo(f"{name} is there already, nothing to do", err=True)
    elif outcome.shared_with is not None:
        click.echo(f"{name}: the content is there already as {outcome.shared_with}, nothing was stored")
    else:
        click.echo(
            f"{name}: wrote {outcome.blocks_written} of {outcome.blocks} blocks, {shown_size(outcome.bytes_written)}"
        )


@click.command("create")
@click.argument("name")
@click.option("--from-snapshot", required=True, metavar="VOLUME@SNAP", help="The snapshot that becomes the image.")
@json_option
def create(name: str, from_snapshot: str, as_json: bool) -> None:
    """Make the image NAME of a snapshot of a volume, without copying it.

    What is in use of it is read once for its SHA-256. The image shares its data with the volume, which can be removed
    all the same.

    \b
    Example:
      archipelago image create web-golden --from-snapshot 8d7f...ext.disk0@ready
    """
    checked_name(name)
    snapshot = parse_snapshot(from_snapshot)
    with opened(common.settings()) as store, Progress(quiet=as_json) as progress:
        outcome = importing.create_from_snapshot(store, name, snapshot, from_snapshot, progress.show)
    _tell(outcome, as_json=as_json)


@click.command("export")
@click.argument("name")
@click.argument("file", type=click.Path(allow_dash=True))
@click.option(
    "--format",
    "format_name",
    type=click.Choice(exporting.FORMATS),
    default="raw",
    help="Format of FILE; raw if left out.",
)
@click.option("--force", is_flag=True, help="Replace FILE when there is one.")
@_dry_run_option
@json_option
def export(name: str, file: str, format_name: str, force: bool, dry_run: bool, as_json: bool) -> None:
    """Write the content of the image NAME, or NAME@sha256:DIGITS, to FILE, and check its SHA-256.

    FILE is there when it is whole; - is standard output.

    \b
    Examples:
      archipelago image export debian-13 /srv/debian-13.raw
      archipelago image export --format qcow2 debian-13@sha256:c4e454dda559 old.qcow2
      archipelago image export debian-13 - | ssh other archipelago image import debian-13 -
    """
    if file == "-" and format_name != "raw":
        raise RequestError("only raw can be written to standard output", hint="name a file for --format qcow2")
    if file != "-" and not force:
        exporting.refuse_existing(Path(file))
    with opened(common.settings()) as store, Progress(quiet=as_json) as progress:
        image, version = records.require(store, name)
        if not dry_run and file == "-":
            exporting.to_stream(
                store, name, version, sys.stdout.buffer, lambda percent: progress.show("reading", percent)
            )
        elif not dry_run:
            exporting.to_file(
                store, name, version, Path(file), format_name, lambda percent: progress.show("reading", percent)
            )
    if as_json:
        told = {"name": image.name, "file": file, "format": format_name, **version._asdict()}
        click.echo(json.dumps(told), err=file == "-")
    else:
        did = "would write" if dry_run else "wrote"
        what = f"{image.name}@sha256:{version.sha256[:SHORT]} ({shown_size(version.size_bytes)})"
        click.echo(f"{did} {what} to {'standard output' if file == '-' else file}", err=file == "-")
