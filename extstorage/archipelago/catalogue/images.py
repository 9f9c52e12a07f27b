# SPDX-License-Identifier: BSD-2-Clause
"""What a disk's ``origin`` means. The script ``create`` comes along here, so that little is imported."""

from __future__ import annotations

from archipelago.contract.contents import Contents
from archipelago.contract.volumes import Parent
from ganeti_cloud.errors import RequestError
from ganeti_cloud.image import SNAPSHOT, Image, SnapshotReference, Version, parse_origin
from ganeti_cloud.volume import MIB


def origin(store: Contents, text: str) -> Parent:
    """The parent that ``origin=TEXT`` of a disk means. Raises RequestError when there is no such image."""
    meant = parse_origin(text)
    if isinstance(meant, SnapshotReference):
        return Parent(text, meant.volume, meant.snapshot, of_image=False)
    found = store.record(meant.name)
    version = None if found is None else Image.decode(meant.name, found).version(meant.digits)
    if version is None:
        raise missing(text)
    return parent(text, version)


def parent(text: str, version: Version) -> Parent:
    """The content of *version*, which a person has called *text*."""
    return Parent(text, version.holder, version.snapshot, of_image=True)


def refuse_too_large(parent: Parent, needed: int, *, at_most: int) -> None:
    """Raise RequestError when *parent*, which is *needed* bytes large, does not fit into a disk of *at_most*."""
    if needed > at_most:
        needed_mib = -(-needed // MIB)
        what = f"image {parent.text}" if parent.of_image else parent.text
        raise RequestError(
            f"{what} is {needed_mib} MiB large and does not fit into a disk of {at_most // MIB} MiB",
            hint=f"give the disk size={needed_mib}M or more",
        )


def missing(text: str) -> RequestError:
    """The error for an origin that is not there."""
    if text.startswith(SNAPSHOT):
        return RequestError(
            f"there is no snapshot {text.removeprefix(SNAPSHOT)!r}",
            hint="`archipelago snapshot list VOLUME` shows what there is; `archipelago volume snapshot` takes one",
        )
    return RequestError(
        f"there is no image {text!r}",
        hint="`archipelago image list` shows what there is; `archipelago image import` brings one in",
    )
