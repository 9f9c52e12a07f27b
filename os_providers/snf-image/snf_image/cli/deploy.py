# SPDX-License-Identifier: BSD-2-Clause
"""The command ``snf-image deploy``."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import click

from ganeti_cloud.errors import CloudError, RequestError
from snf_image import deploying, settings
from snf_image.cli.progress import Progress
from snf_image.request import CACHES, Disk, NicRequest, Request, of_create
from snf_image.sources import Null
from snf_image.telling import Teller, Told

_NIC_KEYS = ("mac", "ip", "subnet", "gateway", "subnet6", "gateway6", "tags")
_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.command()
@click.option("--disk", "disks", multiple=True, required=True, metavar="FILE", help="Disk or raw file; repeatable.")
@click.option("--image", default="null", help="Image as img_id has it; null if left out: the disk holds it.")
@click.option("--format", "image_format", default="", metavar="FORMAT", help="Format of the image, see img_format.")
@click.option("--checksum", default="", metavar="ALGORITHM:HEX", help="What the image hashes to.")
@click.option("--hostname", default="localhost", help="Name of the instance.")
@click.option("--password-file", type=_FILE, help="File with the password, its first line.")
@click.option("--password-hash-file", type=_FILE, help="File with a hash of it instead, as in /etc/shadow.")
@click.option("--ssh-key", "ssh_keys", type=_FILE, multiple=True, help="File with SSH public keys; repeatable.")
@click.option("--personality", type=_FILE, help="JSON file, see img_personality.")
@click.option("--user-data", type=_FILE, help="File with user data for cloud-init.")
@click.option("--property", "properties", multiple=True, metavar="KEY=VALUE", help="Property; repeatable.")
@click.option("--nic", "nics", multiple=True, metavar="KEY=VALUE,...", help="Network interface; repeatable.")
@click.option("--cache", type=click.Choice(CACHES), default="default", help="Cache mode of the disks.")
@click.option("--variant", default="", help="Variant of the OS.")
@click.option("-n", "--dry-run", is_flag=True, help="Check everything and say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print the messages as JSON, a line each.")
def deploy(variant: str, dry_run: bool, as_json: bool, **given: object) -> None:
    """Put an image onto a disk and adapt it, as Ganeti would have it done for an instance.

    THE DISK IS OVERWRITTEN unless the image is null. Take a copy, or a clone, for a trial. A NIC is told by mac, ip,
    subnet, gateway, subnet6, gateway6 and tags, as mac=aa:00:00:00:00:01,ip=192.0.2.7,subnet=192.0.2.0/24.

    \b
    Examples:
      snf-image deploy --disk try.raw --hostname try1.example.com --password-file pw
      snf-image deploy --disk try.raw --image archipelago:debian-13 --property USERS=debian --ssh-key id.pub
      snf-image deploy --disk try.raw --image debian-13.qcow2 --dry-run
    """
    from snf_image.machine.running import run_helper  # what only helps need not load it

    request = _request(variant, given)
    progress = Progress(quiet=as_json)
    listener = _json_line if as_json else progress.show
    teller = Teller([listener], progress.console, copy_pause_s=progress.pause_s)
    begin = time.monotonic()
    try:
        plan = deploying.plan(request, settings.load(variant), teller)
        if not dry_run:
            deploying.carry_out(plan, teller, run_helper)
    except CloudError as err:
        if as_json:
            teller.error(str(err))
        raise CloudError(teller.clean(str(err)), hint=teller.clean(err.hint)) from err
    text = _outlook(plan) if dry_run else f"deployed in {time.monotonic() - begin:.1f} s"
    if as_json:
        click.echo(json.dumps({"type": "end", "dry_run": dry_run, "messages": [text]}))
    else:
        click.echo(text)


def _json_line(told: Told) -> None:
    click.echo(json.dumps({"type": told.type, **told.fields}))


def _outlook(plan: deploying.Plan) -> str:
    first = plan.request.disks[0].path
    copy = "nothing is copied" if isinstance(plan.wanted.source, Null) else f"the image would be copied onto {first}"
    if plan.job is None:
        return f"{copy}; no helper machine would be started"
    left_out = f", without {', '.join(plan.job.excluded)}" if plan.job.excluded else ""
    return f"{copy}; a helper machine would adapt {first} for {plan.job.hostname}{left_out}"


def _request(variant: str, given: dict[str, object]) -> Request:
    """What the options ask for, checked as what Ganeti asks for is."""
    hostname, disks, nics = given["hostname"], given["disks"], given["nics"]
    assert isinstance(disks, tuple)
    assert isinstance(nics, tuple)
    env = {"INSTANCE_NAME": str(hostname), "DISK_COUNT": str(len(disks))}
    env |= {f"DISK_{index}_PATH": os.path.abspath(disk) for index, disk in enumerate(disks)}
    request = of_create({**env, "OS_VARIANT": variant, "INSTANCE_HV_disk_cache": str(given["cache"])})
    return request._replace(
        disks=tuple(Disk(os.path.abspath(disk), "") for disk in disks),
        nics=tuple(_nic(index, text) for index, text in enumerate(nics)),
        parameters=_parameters(given),
    )


def _parameters(given: dict[str, object]) -> dict[str, str]:
    """The parameters of the OS that the options stand for."""
    import base64

    ssh_keys, texts = given["ssh_keys"], given["properties"]
    assert isinstance(ssh_keys, tuple)
    assert isinstance(texts, tuple)
    user_data = given["user_data"]
    properties = dict(_property(text) for text in texts)
    return {
        "img_id": str(given["image"]),
        "img_format": str(given["image_format"]),
        "img_checksum": str(given["checksum"]),
        "img_passwd": _first_line(given["password_file"]),
        "img_passwd_hash": _first_line(given["password_hash_file"]),
        "img_personality": _content(given["personality"]),
        "auth_keys": "\n".join(_content(path) for path in ssh_keys),
        "cloud_userdata": base64.b64encode(user_data.read_bytes()).decode() if isinstance(user_data, Path) else "",
        "inst_properties": json.dumps(properties) if properties else "",
    }


def _content(path: object) -> str:
    if not isinstance(path, Path):
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise RequestError(f"{path} cannot be read as a text in UTF-8", hint="name another file") from err


def _first_line(path: object) -> str:
    return _content(path).partition("\n")[0]


def _property(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"{text!r} is no property", hint="write KEY=VALUE")
    return key, value


def _nic(index: int, text: str) -> NicRequest:
    values = dict(_property(part) for part in text.split(",") if part)
    unknown = sorted(set(values) - set(_NIC_KEYS))
    if unknown:
        raise RequestError(f"--nic knows no {', '.join(unknown)}", hint=f"there are {', '.join(_NIC_KEYS)}")
    made_up = hashlib.sha256(str(index).encode()).hexdigest()
    mac = "aa:00:00:" + ":".join(made_up[at : at + 2] for at in (0, 2, 4))
    tags = frozenset(values.pop("tags", "").split())
    return NicRequest(**{**dict.fromkeys(_NIC_KEYS[:-1], ""), "mac": mac, **values}, tags=tags)
