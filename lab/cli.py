# SPDX-License-Identifier: BSD-2-Clause
"""The command line of the lab."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ganeti_cloud.errors import CloudError, report
from lab.demo import run_demo
from lab.golden import golden
from lab.lab import Lab, down, require_root
from lab.places import Places
from lab.spec import STORE, LabSpec, Release, Storage, check_name, parse_ceph_option
from lab.timeline import Timeline

_DEFAULT = LabSpec()
_RELEASE = click.Choice([each.value for each in Release])
_STORAGE = click.Choice([each.value for each in Storage])
_name = click.option("--name", default="lab", show_default=True, help="Which lab.")
# Options after the node's name belong to the command that runs there.
_FOREIGN = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A real cloud on this machine: Ganeti nodes, Ceph and RabbitMQ in namespaces.

    \b
    Examples:
      lab up --release trixie --nodes 3
      lab exec 1 gnt-cluster verify
      lab down
    """


@cli.command()
@_name
@click.option("--release", type=_RELEASE, help=f"Of Debian.  [{_DEFAULT.release}]")
@click.option("--nodes", type=int, help=f"Ganeti nodes.  [{_DEFAULT.nodes}]")
@click.option("--storage", type=_STORAGE, help=f"What disks live on.  [{_DEFAULT.storage}]")
@click.option("--osds", type=int, help="1 in memory, or 3 on disk with two copies of all data.  [1]")
@click.option("--mgr", is_flag=True, default=None, help="Run a Ceph manager too (300 MiB).")
@click.option("--rabbitmq", is_flag=True, default=None, help="Run RabbitMQ on the store: user lab, password lab.")
@click.option("--subnet", help=f"Addresses inside of the lab.  [{_DEFAULT.subnet}]")
@click.option("--memory", type=int, help=f"GiB that root file systems may grow to.  [{_DEFAULT.memory_gib}]")
@click.option("--debs", type=click.Path(path_type=Path), help="Folder of packages to install.  [dist/]")
@click.option("--ceph-option", multiple=True, metavar="KEY=VALUE", help="A line for ceph.conf; repeatable.")
@click.option("--package", multiple=True, metavar="NAME", help="One more package of the release; repeatable.")
def up(name: str, debs: Path | None, release: str | None, storage: str | None, **asked: Any) -> None:
    """Make a lab, or bring up what is missing of it. What is not said stays as it was.

    \b
    Examples:
      lab up --release bookworm --nodes 2 --storage file
      lab up --osds 3 --ceph-option osd_client_watch_timeout=4
      lab up --name other --subnet 203.0.113.0/24 --release bookworm
    """
    check_name(name)
    old = Lab.open(name).spec if Places(name).record.exists() else LabSpec(name=name)
    wanted = {
        "release": release and Release(release),
        "storage": storage and Storage(storage),
        "memory_gib": asked.pop("memory"),
        "ceph_options": tuple(parse_ceph_option(text) for text in asked.pop("ceph_option")) or None,
        "extra_packages": asked.pop("package") or None,
        **asked,
    }
    spec = replace(old, **{key: value for key, value in wanted.items() if value is not None})
    Lab.up(spec, debs=debs, say=click.echo)


@cli.command("exec", context_settings=_FOREIGN)
@_name
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run COMMAND in NODE, which is a number or `store`. Its exit status is that of this command.

    \b
    Examples:
      lab exec 1 gnt-instance list
      lab exec store ceph -s
      tar c plugins | lab exec 2 tar x -C /srv/ganeti
    """
    require_root()
    argv = Lab.open(name).node(node).argv(command, term=os.environ.get("TERM", "dumb"))
    os.execv(argv[0], argv)


@cli.command()
@_name
@click.argument("node")
def shell(name: str, node: str) -> None:
    """Open a shell in NODE, on a terminal of its own.

    \b
    Examples:
      lab shell 1
    """
    require_root()
    script = ["script", "--quiet", "--return", "--command", "cd; exec bash -i", "/dev/null"]
    argv = Lab.open(name).node(node).argv(script, term=os.environ.get("TERM", "dumb"))
    os.execv(argv[0], argv)


@cli.command()
@_name
@click.argument("node")
def crash(name: str, node: str) -> None:
    """Cut the power of NODE. Its disk stays, and `lab up` boots it again.

    \b
    Examples:
      lab crash 2
    """
    require_root()
    Lab.open(name).crash(node)


@cli.command()
@_name
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(name: str, as_json: bool) -> None:
    """Tell what the lab is and which of its nodes run.

    \b
    Examples:
      lab status --json
    """
    require_root()
    lab = Lab.open(name)
    nodes = {node.name: {"address": node.address, "pid": node.pid} for node in lab.nodes}
    if as_json:
        spec = json.loads(lab.spec.to_json())
        click.echo(json.dumps({"spec": spec, "nodes": nodes, "shared": str(lab.places.shared)}, indent=1))
        return
    click.echo(f"{lab.spec.name}: {lab.spec.release}, {lab.spec.subnet}, shared folder {lab.places.shared}")
    for node, about in nodes.items():
        state = f"runs, pid {about['pid']}" if about["pid"] is not None else "down"
        click.echo(f"  {node:<6} {about['address']:<15} {state}")


@cli.command()
@_name
def rabbitmq(name: str) -> None:
    """Start RabbitMQ on the store of a running lab.

    \b
    Examples:
      lab rabbitmq
    """
    require_root()
    spec = replace(Lab.open(name).spec, rabbitmq=True)
    Lab.up(spec, say=click.echo)
    click.echo(f"amqp://lab:lab@{spec.plan.host(STORE)}:5672/")


@cli.command()
@click.option("--release", type=_RELEASE, default=_DEFAULT.release.value, show_default=True, help="Of Debian.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Put a copy here.")
def image(release: str, out: Path | None) -> None:
    """Build the golden image: a bootable raw disk whose guest tells the SHA-256 of what it booted from.

    \b
    Examples:
      lab image
      lab image --out /tmp/golden.raw
    """
    require_root()
    made = golden(Release(release), Timeline(click.echo))
    if out is not None:
        shutil.copyfile(made.path, out)
    click.echo(f"{out or made.path}: {made.size_bytes} bytes, sha256 {made.sha256}")


@cli.command("demo")
@click.option(
    "--release",
    type=_RELEASE,
    default=Release.TRIXIE,
    show_default=True,
    help="Of Debian.",
)
@click.option("--keep", is_flag=True, help="Do not take it down at the end.")
def demo_(release: Release, keep: bool) -> None:
    """Show the life of one VM on a zero-copy clone: create, boot, migrate, grow, remove. Checks every step.

    \b
    Examples:
      lab demo
      lab demo --release bookworm --keep
    """
    require_root()
    run_demo(Release(release), click.echo, keep=keep)


@cli.command("down")
@_name
def down_(name: str) -> None:
    """Take the lab away with all its disks. Safe to repeat; works for a broken lab too.

    \b
    Examples:
      lab down --name other
    """
    down(name)


def main() -> None:
    """Run the command line; the only place that turns errors into an exit status."""
    try:
        cli()
    except CloudError as err:
        sys.stderr.write(report(err))
        sys.exit(err.exit_code)
