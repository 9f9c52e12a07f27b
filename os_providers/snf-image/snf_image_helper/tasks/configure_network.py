# SPDX-License-Identifier: BSD-2-Clause
"""ConfigureNetwork: the guest's interfaces get what the instance's networks say."""

from __future__ import annotations

from collections.abc import Mapping

from snf_image_helper import cloud_init
from snf_image_helper.network import aside, facts, ifcfg, ifupdown, networkd, networkmanager, v2
from snf_image_helper.network.plan import DHCP, SLAAC, SLAAC_DHCP, Interface, interfaces, servers
from snf_image_helper.properties import truth
from snf_image_helper.root import Root
from snf_image_helper.task import WINDOWS, TaskError, Work

NM = "NM_NETWORKING"


def run(work: Work) -> None:
    """Tell the system of the guest that sets up its network; what the image told it is put aside.

    Without interfaces nothing is done.
    """
    if not work.job.nics:
        return
    if work.family == WINDOWS:
        from snf_image_helper.windows import network  # few guests are Windows

        network.configure(work)
        return
    root = work.root
    try:
        asked = truth(work.properties, NM)
    except ValueError as err:
        raise TaskError(str(err)) from err
    known = facts.look(root, cloud_init=work.cloud_init and cloud_init.makes_network(root), asked=asked)
    backend = facts.choose(known)
    plan = interfaces(work.job.nics)
    if backend == facts.CLOUD_INIT:
        # It replaces what is there by itself.
        cloud_init.write_seed_file(root, "network-config", v2.cloud_init(plan).encode())
        return
    if work.cloud_init:
        cloud_init.leave_network(root)
    if backend == facts.IFUPDOWN:
        plan = [_servable(work, each) for each in plan]
    new = new_files(backend, plan, by_nm=known.netplan_by_nm)
    old = aside.put(root, backend, new)
    if old:
        work.warn(f"the image's own network files were put aside, as *{aside.SUFFIX}: {', '.join(old)}")
    _write(root, backend, new)
    if backend in (facts.IFUPDOWN, facts.NETWORKD, facts.NETPLAN) and facts.resolver_is_plain(root):
        _write_resolver(root, plan)


def new_files(backend: str, plan: list[Interface], *, by_nm: bool) -> Mapping[str, str]:
    """What *backend* is told: texts by their paths."""
    if backend == facts.NETPLAN:
        return v2.netplan(plan, by_nm=by_nm)
    if backend == facts.NETWORKMANAGER:
        return networkmanager.files(plan)
    if backend == facts.NETWORKD:
        return networkd.files(plan)
    named = ifupdown.files(plan) if backend == facts.IFUPDOWN else ifcfg.files(plan)
    return named | networkd.link_files(plan)


def _servable(work: Work, interface: Interface) -> Interface:
    """*interface*, as far as the image's DHCP clients allow: for want of one ifupdown gives up the whole interface."""
    needs = {4: interface.ipv4 == DHCP, 6: interface.ipv6 in (DHCP, SLAAC_DHCP)}
    for version, needed in needs.items():
        if needed and facts.lacks_client(work.root, version):
            work.warn(
                f"{interface.name}: the image has no client for DHCPv{version} that ifupdown knows: install"
                " isc-dhcp-client in it"
            )
            if interface.ipv6 == SLAAC_DHCP and version == 6:
                return interface._replace(ipv6=SLAAC)
    return interface


def _write(root: Root, backend: str, new: Mapping[str, str]) -> None:
    secret = backend in (facts.NETPLAN, facts.NETWORKMANAGER)
    for path, text in new.items():
        root.make_folders(path.rpartition("/")[0])
        root.write_text(path, text, mode=0o600 if secret else 0o644, owner=0, group=0)


def _write_resolver(root: Root, plan: list[Interface]) -> None:
    """For guests in which nothing else would make use of the name servers."""
    hosts, domains = servers(plan)
    if hosts:
        lines = [f"search {' '.join(domains)}"] if domains else []
        text = "\n".join([*lines, *(f"nameserver {host}" for host in hosts)])
        root.write_text("/etc/resolv.conf", text + "\n", mode=0o644, owner=0, group=0)
