# SPDX-License-Identifier: BSD-2-Clause
"""Deploying real guests, and looking at what became of them from inside, from the network, and on the nodes."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ganeti_cloud.process import run, serving
from lab.guest_shell import GuestShell, logged_in
from lab.images.image import GuestImage, guest_image
from lab.images.spec import IMAGES, ImageSpec
from lab.lab import Lab
from lab.network import BRIDGE
from lab.node import Node
from lab.timeline import Timeline
from tests.lab.support import Result, call

JOB_S = 400.0
# A whole Debian that starts without hardware virtualisation, beside others that do the same.
BOOT_S = 600.0
MEMORY_MIB = 384

NETWORK = "lan"
GATEWAY, PREFIX = "192.0.2.1", "192.0.2.0/24"  # for documentation, RFC 5737 and RFC 3849
GATEWAY6, PREFIX6 = "2001:db8:66::1", "2001:db8:66::/64"
LEASES = ("192.0.2.200", "192.0.2.250")

# How the command line of a helper machine is known among all processes.
HELPER_MARK = b"snf-image-helper"

KEY = "/root/.ssh/guest"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A deployment as an administrator asks for it. *secret* and *public* are OS parameters."""

    image: ImageSpec
    number: int
    nic: str
    public: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"inst{self.number}.lab.test"


def parameters(values: Mapping[str, str]) -> str:
    """``key=value,...`` as Ganeti's programs take it: what has commas itself has backslashes before them."""
    return ",".join(f"{key}={escaped(value)}" for key, value in values.items())


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,")


def personality(*files: tuple[str, bytes, str, str, int]) -> str:
    """The parameter for files, each given as path, contents, owner, group and mode."""
    entries = [
        {"path": path, "contents": base64.b64encode(contents).decode(), "owner": owner, "group": group, "mode": mode}
        for path, contents, owner, group, mode in files
    ]
    return json.dumps(entries)


def add_command(lab: Lab, wish: Wish, image: GuestImage, *more: str) -> list[str]:
    """The whole ``gnt-instance add`` for *wish*."""
    node = lab.node(1 + wish.number % len(lab.ganeti_nodes))
    argv = ["gnt-instance", "add", "-t", "ext", "--disk", f"0:size=4G,provider=archipelago,origin={wish.image.name}"]
    argv += ["-o", "snf-image+default", "-O", parameters({"img_id": "null", **wish.public})]
    if wish.secret:
        argv += ["--os-parameters-secret", parameters(wish.secret)]
    argv += ["-n", node.hostname, "--net", f"0:{wish.nic}", "-B", f"minmem={MEMORY_MIB},maxmem={MEMORY_MIB}"]
    if not wish.image.has_bootloader:
        argv += ["-H", f"kvm:{parameters(_kernel(image))}"]
    return [*argv, *more, wish.name]


def _kernel(image: GuestImage) -> dict[str, str]:
    root, *words = image.command_line.split()
    return {
        "kernel_path": f"/srv/shared/{image.kernel.name}",
        "initrd_path": f"/srv/shared/{image.initrd.name}",
        "root_path": root.removeprefix("root="),
        "kernel_args": " ".join(word for word in words if not word.startswith("console=")),
    }


@contextmanager
def images(lab: Lab, names: Sequence[str] = tuple(IMAGES)) -> Iterator[dict[str, GuestImage]]:
    """The images *names* are in the catalogue, and the kernel of those without a boot loader is on the nodes."""
    node, shared = lab.node(1), lab.places.shared
    found = {name: guest_image(lab.spec.release, IMAGES[name], Timeline()) for name in names}

    def bring(name: str, image: GuestImage) -> None:
        for path in (image.path, image.kernel, image.initrd):
            run(["cp", "--sparse=always", "--reflink=auto", str(path), str(shared / path.name)], timeout_s=120)
        node.run(["archipelago", "image", "import", name, f"/srv/shared/{image.path.name}"], timeout_s=JOB_S)
        (shared / image.path.name).unlink()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(bring, found.keys(), found.values()))
    yield found
    for name in found:
        node.run(["archipelago", "image", "remove", name], timeout_s=60)


@contextmanager
def network(lab: Lab) -> Iterator[None]:
    """A network of Ganeti's with static addresses, on which node 1 is the gateway and leases the rest by DHCP."""
    node, master = lab.node(1), lab.master
    for family, address in (("-4", f"{GATEWAY}/24"), ("-6", f"{GATEWAY6}/64")):
        node.run(["ip", family, "address", "replace", address, "dev", BRIDGE], timeout_s=30)
    add = ["gnt-network", "add", f"--network={PREFIX}", f"--gateway={GATEWAY}"]
    add += [f"--network6={PREFIX6}", f"--gateway6={GATEWAY6}"]
    master.run([*add, NETWORK], timeout_s=JOB_S)
    connect = ["gnt-network", "connect", f"--nic-parameters=mode=bridged,link={BRIDGE}", NETWORK]
    master.run(connect, timeout_s=JOB_S)
    dnsmasq = ["nsenter", f"--net={lab.network.netns_file(node.name)}", "dnsmasq", "--keep-in-foreground"]
    dnsmasq += ["--conf-file=/dev/null", "--port=0", f"--interface={BRIDGE}", "--leasefile-ro", "--pid-file="]
    dnsmasq += ["--user=root", f"--dhcp-range={LEASES[0]},{LEASES[1]},1h", f"--dhcp-range={PREFIX6[:-3]},ra-only"]
    with serving(dnsmasq, timeout_s=3600.0) as server:
        yield
        server.check()
    for command in ("disconnect", "remove"):
        master.run(["gnt-network", command, NETWORK], timeout_s=JOB_S)
    for family, address in (("-4", f"{GATEWAY}/24"), ("-6", f"{GATEWAY6}/64")):
        node.run(["ip", family, "address", "del", address, "dev", BRIDGE], timeout_s=30)


@contextmanager
def shell(lab: Lab, wish: Wish, password: str) -> Iterator[GuestShell]:
    """A shell of root in the guest, by *password* on its console, once it has booted."""
    with logged_in(primary(lab, wish.name), wish.name, "root", password, timeout_s=BOOT_S) as opened:
        yield opened


def primary(lab: Lab, instance: str) -> Node:
    """Where Ganeti has *instance*."""
    said = lab.master.run(["gnt-instance", "list", "--no-headers", "-o", "pnode", instance], timeout_s=JOB_S)
    return lab.node(said.strip().partition(".")[0])


def remove(lab: Lab, instance: str) -> None:
    """Remove *instance*, if there is one."""
    listed = lab.master.run(["gnt-instance", "list", "--no-headers", "-o", "name"], timeout_s=JOB_S).split()
    if instance in listed:
        lab.master.run(["gnt-instance", "remove", "-f", "--shutdown-timeout=0", instance], timeout_s=JOB_S)


def ssh(lab: Lab, address: str, command: str) -> Result:
    """Run *command* as root in the guest at *address*, from node 1, by the key alone."""
    argv = ["ssh", "-F", "none", "-i", KEY, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
    argv += ["-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR"]
    return call(lab.node(1), [*argv, f"root@{address}", command], timeout_s=90)


def make_key(lab: Lab) -> str:
    """Make the key for :func:`ssh` anew; returns its public half."""
    node = lab.node(1)
    node.run(["rm", "-f", KEY, f"{KEY}.pub"], timeout_s=30)
    node.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "guest@lab.test", "-f", KEY], timeout_s=30)
    return node.run(["cat", f"{KEY}.pub"], timeout_s=30).strip()


@dataclass
class Watch:
    """What was seen among the processes of this machine while it watched, or of those in the cgroup *within*.

    *helpers* are command lines of helper machines, *leaks* the command lines of processes that have a secret in theirs
    or in their environment, where it must not be.
    """

    secret: bytes
    within: str = ""
    helpers: set[str] = field(default_factory=set)
    leaks: set[str] = field(default_factory=set)
    rounds: int = 0

    def look(self) -> None:
        """Look once."""
        for folder in Path("/proc").glob("[0-9]*"):
            if int(folder.name) == os.getpid():
                continue
            try:
                if self.within not in (folder / "cgroup").read_text(encoding="utf-8"):
                    continue
                arguments = (folder / "cmdline").read_bytes()
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            self._judge(arguments, environment)
        self.rounds += 1

    def _judge(self, arguments: bytes, environment: bytes) -> None:
        shown = arguments.replace(b"\0", b" ").decode(errors="replace")
        # The administrator's own command has what was typed, and Ganeti gives parameters to its scripts so.
        typed, script = b"gnt-instance" in arguments, b"/snf-image/" in arguments
        if self.secret in arguments and not typed:
            self.leaks.add(shown)
        if self.secret in environment and not (typed or script):
            self.leaks.add(f"environment of {shown}")
        if HELPER_MARK in arguments and b"qemu-system" in arguments:
            self.helpers.add(shown)


@contextmanager
def watched(lab: Lab, secret: str) -> Iterator[Watch]:
    """Look at all processes of the nodes, again and again, for the length of the block."""
    watch, done = Watch(secret.encode(), f"/ganeti-cloud-lab/{lab.spec.name}/"), threading.Event()

    def work() -> None:
        while not done.wait(0.2):
            watch.look()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()


def files_with(node: Node, secret: str) -> list[str]:
    """The files of *node* that have *secret* in them, where logs, state, queues and temporary files are."""
    folders = ["/etc", "/run", "/tmp", "/var/cache", "/var/lib/ganeti", "/var/lib/ganeti-cloud", "/var/log"]
    folders += ["/var/spool", "/var/tmp", "/root", "/dev/shm"]
    # The disks of guests show below the provider's folder in /run.
    argv = ["grep", "--recursive", "--exclude-dir=archipelago", "--files-with-matches", "--no-messages"]
    argv += ["--devices=skip", "--text", "--fixed-strings"]
    return sorted(call(node, [*argv, "--", secret, *folders], timeout_s=120).stdout.split())


def traces(node: Node) -> list[str]:
    """What deployments left on *node*: processes of theirs, mounts, sockets and temporary files."""
    script = (
        "pgrep -u snf-image -a; pgrep -af 'qemu.*snf-image'; grep snf-image /proc/mounts;"
        " find /tmp /var/tmp /run/ganeti-cloud /dev/shm -path '*snf-image*' '(' -type s -o -name 'tmp*' ')'; true"
    )
    found = call(node, ["sh", "-c", script]).stdout.splitlines()
    return [line for line in found if "pgrep" not in line]
