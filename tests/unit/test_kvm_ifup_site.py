# SPDX-License-Identifier: BSD-2-Clause
"""The site's scripts: which are run, in which order, and what they are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError
from kvm_ifup.running import site
from kvm_ifup.running.site import SiteScripts
from tests.unit.kvm_ifup_node import PORT, PORTS

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="scripts that root owns are run, and no others"),
]


@pytest.fixture
def scripts(tmp_path: Path) -> SiteScripts:
    return SiteScripts(str(tmp_path), str(tmp_path))


def put(folder: Path, name: str, text: str, mode: int = 0o755) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(mode)
    return path


def test_in_the_order_of_their_names_and_only_those_of_run_parts(scripts: SiteScripts, tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    for name in ("20-b", "10-a", "10-a.dpkg-old", ".hidden", "30-c~"):
        put(tmp_path, name, f"echo {name} >>{said}")
    put(tmp_path, "40-off", f"echo off >>{said}", mode=0o644)
    (tmp_path / "50-folder").mkdir()
    scripts.up(PORT)
    assert said.read_text(encoding="utf-8") == "10-a\n20-b\n"


def test_no_folder_is_no_scripts(tmp_path: Path) -> None:
    SiteScripts(str(tmp_path / "none"), str(tmp_path / "none")).up(PORT)


def test_they_are_told_what_was_checked_and_nothing_else(
    scripts: SiteScripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/nonexistent")
    monkeypatch.setenv("NETWORK_NAME", "$(reboot)")
    put(tmp_path, "10-a", f'env >{tmp_path}/said.txt; echo "$#" >{tmp_path}/arguments.txt')
    scripts.up(PORTS["routed"])
    said = dict(line.split("=", 1) for line in (tmp_path / "said.txt").read_text(encoding="utf-8").splitlines())
    assert {name: said[name] for name in site.environment(PORT, "up")} == {
        "ACTION": "up",
        "INTERFACE": "tap0",
        "INSTANCE": "web1.example.com",
        "INTERFACE_INDEX": "0",
        "INTERFACE_UUID": "0a1b2c3d-0000-4000-8000-000000000001",
        "MAC": "aa:00:00:00:00:01",
        "MODE": "routed",
        "LINK": "100",
        "IP": "198.51.100.7",
        "IP6": "2001:db8::7",
        "PROFILE": "protected",
        "NETWORK_NAME": "public",
        "NETWORK_TAGS": "nfdhcpd public",
        "TAGS": "synnefo:network:0:protected",
    }
    assert set(said) - set(site.environment(PORT, "up")) <= {"PATH", "HOME", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"}
    assert (tmp_path / "arguments.txt").read_text(encoding="utf-8") == "0\n"


@pytest.mark.parametrize(("which", "mode", "link"), [("bridged", "bridged", "br0"), ("switch", "openvswitch", "ovs0")])
def test_modes_have_ganetis_names(which: str, mode: str, link: str) -> None:
    said = site.environment(PORTS[which], "down")
    assert (said["ACTION"], said["MODE"], said["LINK"], said["IP6"]) == ("down", mode, link, "")


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_what_others_may_write_is_not_run(scripts: SiteScripts, tmp_path: Path, mode: int) -> None:
    path = put(tmp_path, "10-a", f"touch {tmp_path}/ran", mode)
    with pytest.raises(CloudError, match=f"{path}: not only root may write it"):
        scripts.up(PORT)
    assert not (tmp_path / "ran").exists()


def test_what_another_owns_is_not_run(scripts: SiteScripts, tmp_path: Path) -> None:
    os.chown(put(tmp_path, "10-a", "exit 0"), 64010, 64010)
    with pytest.raises(CloudError, match="not only root may write it"):
        scripts.up(PORT)


def test_the_first_that_fails_is_the_last_to_run(scripts: SiteScripts, tmp_path: Path) -> None:
    put(tmp_path, "10-a", "echo no >&2; exit 4")
    put(tmp_path, "20-b", f"touch {tmp_path}/ran")
    with pytest.raises(CloudError, match="10-a: exit 4: no"):
        scripts.up(PORT)
    assert not (tmp_path / "ran").exists()


def test_at_the_end_all_run(scripts: SiteScripts, tmp_path: Path) -> None:
    put(tmp_path, "10-a", "exit 4")
    put(tmp_path, "20-b", f"touch {tmp_path}/ran")
    with pytest.raises(CloudError, match="10-a: exit 4"):
        scripts.down(PORT)
    assert (tmp_path / "ran").exists()


def test_one_that_hangs_is_killed(scripts: SiteScripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "_SCRIPT_S", 0.3)
    path = put(tmp_path, "10-a", "sleep 60")
    with pytest.raises(CloudError, match=rf"{path}: no end after 0\.3 s"):
        scripts.up(PORT)
