# SPDX-License-Identifier: BSD-2-Clause
"""Logical volumes of the guest. There is no udev here, and nothing of the machine's own is kept in LVM."""

from __future__ import annotations

import json
from collections.abc import Sequence

from snf_image_helper import modules
from snf_image_helper.records import NamedTuple
from snf_image_helper.task import Run, TaskError

_TIMEOUT_S = 60.0
_SETTINGS = (
    "activation{udev_sync=0 udev_rules=0 monitoring=0}"
    "backup{backup=0 archive=0}"
    "global{event_activation=0 use_lvmpolld=0 use_lvmlockd=0}"
    'devices{use_devicesfile=0 obtain_device_list_from_udev=0 external_device_info_source="none" scan="/dev"}'
)


class Volume(NamedTuple):
    """A logical volume: the names of its group and itself, its device, and the devices it lies on."""

    group: str
    name: str
    path: str
    on: tuple[str, ...]


def activate(run: Run, members: Sequence[str]) -> tuple[Volume, ...]:
    """Make the volumes on the devices *members* usable. Raises TaskError."""
    modules.load("dm_mod")
    run(_command("vgchange", "--activate", "y", "--quiet"), timeout_s=_TIMEOUT_S)
    columns = "vg_name,lv_name,lv_dm_path,devices"
    text = run(_command("lvs", "--reportformat", "json", "--options", columns), timeout_s=_TIMEOUT_S)
    return tuple(volume for volume in parse(text) if set(volume.on) <= set(members))


def deactivate(run: Run) -> None:
    """Let go of all volumes. Raises TaskError."""
    run(_command("vgchange", "--activate", "n", "--quiet"), timeout_s=_TIMEOUT_S)


def grow(run: Run, volume: Volume) -> None:
    """Give *volume* all that is free in its group, after its devices have grown. Raises TaskError."""
    run(_command("pvresize", *volume.on), timeout_s=_TIMEOUT_S)
    # lvextend fails when there is nothing to give.
    free = run(_command("vgs", "--noheadings", "--options", "vg_free_count", volume.group), timeout_s=_TIMEOUT_S)
    if free.strip() != "0":
        run(_command("lvextend", "--extents", "+100%FREE", volume.path), timeout_s=_TIMEOUT_S)


def parse(text: str) -> tuple[Volume, ...]:
    """What ``lvs --reportformat json`` says: a row for each piece of a volume. Raises TaskError."""
    pieces: dict[tuple[str, str, str], list[str]] = {}
    try:
        for row in json.loads(text)["report"][0]["lv"]:
            place = pieces.setdefault((row["vg_name"], row["lv_name"], row["lv_dm_path"]), [])
            place += (piece.partition("(")[0] for piece in row["devices"].split(",") if piece)
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise TaskError("lvs did not understand the volume groups") from error
    return tuple(Volume(*names, tuple(dict.fromkeys(on))) for names, on in pieces.items())


def _command(verb: str, *arguments: str) -> list[str]:
    return ["lvm", verb, "--config", _SETTINGS, *arguments]
