# SPDX-License-Identifier: BSD-2-Clause
"""What the daemon of a mapping does with an overlay while it has it open. See QEMU's QMP reference, "Block devices"."""

from __future__ import annotations

import os
import time
from typing import Any

from archipelago.file import data
from archipelago.file.layout import Layout
from archipelago.file.serving import drive
from archipelago.mapping.fuse import FuseLoop
from archipelago.store import Progress
from ganeti_cloud.errors import StorageError
from ganeti_cloud.qmp import Client, monitor

# A flatten may wait behind an instance that writes a lot; the daemon goes on with it when nobody looks.
_FLATTEN_S = 6 * 3600.0
_JOB = "flatten"


def follow(layout: Layout, volume: str, file: str) -> None:
    """Have this node's daemon of *volume* write to the overlay *file*, whose backing file it has open now.

    Succeeds when it does so already. Raises CloudError when it cannot.
    """
    with monitor(_socket(volume)) as client:
        _follow(client, layout, file)


def _follow(client: Client, layout: Layout, file: str) -> None:
    node = client.execute("query-block-exports")[0]["node-name"]
    path = layout.data(file)
    if _files(client)[node] == path:
        return
    new = f"overlay-{os.urandom(4).hex()}"
    client.execute("blockdev-add", {**drive(path, new), "backing": None})
    client.execute("blockdev-snapshot", {"node": node, "overlay": new}, timeout_s=30.0)


def flatten(layout: Layout, volume: str, file: str, progress: Progress) -> None:
    """Have this node's daemon of *volume* copy into its overlay *file* all that is below it."""
    with monitor(_socket(volume)) as client:
        _follow(client, layout, file)
        jobs = client.execute("query-jobs")
        if not jobs:
            node = client.execute("query-block-exports")[0]["node-name"]
            client.execute("block-stream", {"job-id": _JOB, "device": node, "auto-dismiss": False}, timeout_s=30.0)
        end = time.monotonic() + _FLATTEN_S
        while (job := client.execute("query-jobs")[0])["status"] != "concluded":
            if time.monotonic() > end:
                raise StorageError(
                    f"flattening {volume} did not end within {_FLATTEN_S / 3600:g} h",
                    hint="it goes on; run the command again to wait for it",
                )
            progress(100 * job["current-progress"] / max(1, job["total-progress"]))
            time.sleep(0.2)
        client.execute("job-dismiss", {"id": _JOB})
    if "error" in job:
        raise StorageError(
            f"volume {volume} cannot be flattened: {job['error']}",
            hint="see `df` for the shared folder; running the command again goes on where it ended",
        )


def _socket(volume: str) -> str:
    path = FuseLoop().monitor(volume)
    if path is None:
        raise StorageError(
            f"the mapping of volume {volume} on this node is not alive",
            hint="run `gnt-instance deactivate-disks` and `activate-disks` for its instance, and try again",
        )
    return path


def _files(client: Client) -> dict[str, Any]:
    listed = client.execute("query-named-block-nodes", {"flat": True})
    return {entry["node-name"]: entry["file"] for entry in listed}


def is_whole(layout: Layout, file: str) -> bool:
    """Whether *file* needs no other file."""
    if data.format_of(file) == "raw":
        return True
    with open(layout.data(file), "rb") as stream:
        return stream.read(16)[8:16] == bytes(8)  # backing_file_offset
