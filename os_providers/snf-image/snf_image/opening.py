# SPDX-License-Identifier: BSD-2-Clause
"""The image that is to be copied, as a disk that can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from ganeti_cloud.imagefile.fetching import fetched
from ganeti_cloud.imagefile.qemu_img import examine
from snf_image import beneath, catalogue, serving
from snf_image.settings import Settings
from snf_image.sources import File, Https, Null
from snf_image.targets import nbd_options
from snf_image.wanted import Wanted

Progress = Callable[[str, float], None]


class Image(NamedTuple):
    """An image that can be read: by the tools of QEMU as *options*. Errors call it *shown*."""

    options: str
    size: int
    shown: str


@contextmanager
def opened(
    wanted: Wanted, entry: catalogue.Entry | None, settings: Settings, folder: Path, progress: Progress
) -> Iterator[Image]:
    """The image of *wanted* within the block; *entry* is what the catalogue has of it, where it is from there.

    Raises RequestError when it cannot be had, is not what the checksum says, or is too large for the site.
    """
    if entry is not None:
        with catalogue.opened(entry, folder / "image") as socket:
            yield Image(nbd_options(socket), entry.size, f"image {entry.reference}")
        return
    with ExitStack() as stack:
        match wanted.source:
            case File(name):
                path, shown = str(stack.enter_context(beneath.opened(settings.folder, name))), f"image {name!r}"
            case Https(url):
                path, shown = url, url
            case _:
                raise AssertionError(f"{wanted.source} is nothing to be copied")
        limit = settings.limit_bytes
        plain = stack.enter_context(fetched(path, wanted.checksum, limit, progress, name=shown))
        source = examine(plain, wanted.format or None, limit, shown)
        socket = stack.enter_context(serving.image(source, folder))
        yield Image(nbd_options(socket), source.size, shown)


def look(wanted: Wanted, settings: Settings) -> catalogue.Entry | None:
    """See that the image of *wanted* is there, as far as that is cheap; what the catalogue has of it.

    Raises RequestError when it is not.
    """
    match wanted.source:
        case Null() | Https():
            return None
        case File(name):
            with beneath.opened(settings.folder, name):
                return None
        case found:
            return catalogue.find(found.reference)
