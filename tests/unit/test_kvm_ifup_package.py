# SPDX-License-Identifier: BSD-2-Clause
"""What the package ganeti-kvm-ifup puts where, and its units."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from kvm_ifup.deciding import environment
from kvm_ifup.running import entry, site
from tests.unit.test_house import setup_argument

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "debian"
PACKAGE = "ganeti-kvm-ifup"
PROGRAM = "usr/share/ganeti-cloud/kvm-ifup/nic"
UNITS = {name: f"{PACKAGE}.{name}" for name in ("kvm-ifup-reconcile.service", "kvm-ifup-reconcile.timer")}


def lines(suffix: str) -> list[str]:
    """Of the file of debhelper for the package."""
    return (DEBIAN / f"{PACKAGE}.{suffix}").read_text(encoding="utf-8").splitlines()


def test_ganeti_finds_the_program_in_all_of_its_places() -> None:
    places = ["etc/ganeti/kvm-vif-bridge"]
    places += [f"etc/ganeti/network/{mode}/{action}" for mode in environment.MODES for action in ("down", "up")]
    assert sorted(lines("links")) == sorted(f"{PROGRAM} {place}" for place in places)
    assert {Path(place).name for place in places} == set(entry._ACTIONS)
    assert f"kvm-ifup/scripts/nic {Path(PROGRAM).parent}" in lines("install")


def test_no_place_is_taken_from_a_site_without_a_word() -> None:
    text = (DEBIAN / f"{PACKAGE}.preinst").read_text(encoding="utf-8")
    assert [place for place in (line.split()[1] for line in lines("links")) if f"/{place}" not in text] == []


def test_what_is_installed_is_there() -> None:
    sources = [line.split()[0] for suffix in ("install", "examples", "manpages") for line in lines(suffix)]
    sources.append(lines("bash-completion")[0].split()[0])
    assert [source for source in sources if not source.startswith("usr/") and not (ROOT / source).exists()] == []


def test_scripts_can_be_run() -> None:
    folder = ROOT / "kvm-ifup"
    scripts = [*(folder / "scripts").iterdir(), *(folder / "examples").iterdir()]
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []


def test_the_folders_for_scripts_are_made() -> None:
    assert [f"/{line}" for line in lines("dirs")] == [site.UP_FOLDER, site.DOWN_FOLDER]


def test_every_package_is_installed() -> None:
    component = ROOT / "kvm-ifup" / "kvm_ifup"
    packages = {".".join(path.parent.relative_to(component.parent).parts) for path in component.rglob("*.py")}
    named = setup_argument("packages")
    assert isinstance(named, list)
    assert {name for name in named if name.partition(".")[0] == "kvm_ifup"} == packages


# What the start of a guest does not need is not waited for: click alone takes as long as all the rest.
SLOW = {
    "click",
    "dataclasses",
    "enum",
    "inspect",
    "jinja2",
    "json.tool",
    "logging",
    "pyroute2",
    "tomllib",
    "typing_extensions",
}


def test_the_way_of_a_start_loads_nothing_slow() -> None:
    code = (
        f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'kvm-ifup')]!r}\n"
        "import kvm_ifup.running.entry\n"
        "print(sorted(sys.modules))"
    )
    argv = ["/usr/bin/python3", "-IS", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", timeout=30, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert "kvm_ifup.filtering.part" in loaded
    # `re` needs enum.
    assert loaded & SLOW <= {"enum"}


def analyze(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says of the units, with a program that is there in the place of ours."""
    for name, source in UNITS.items():
        text = (DEBIAN / source).read_text(encoding="utf-8").replace("/usr/sbin/kvm-ifup", "/bin/true")
        (folder / name).write_text(text, encoding="utf-8")
    argv = ["systemd-analyze", *arguments]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)


@pytest.mark.host_tools
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    done = analyze(tmp_path, "verify", "--man=no", *(f"./{name}" for name in UNITS))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_timer_looks_every_minute_and_soon_after_a_boot() -> None:
    text = (DEBIAN / UNITS["kvm-ifup-reconcile.timer"]).read_text(encoding="utf-8").splitlines()
    assert {"OnBootSec=30s", "OnUnitInactiveSec=1min", "WantedBy=timers.target"} <= set(text)


def test_whoever_flushes_all_rules_calls_it_at_once_and_does_not_fail_with_it() -> None:
    text = (DEBIAN / "drop-in" / "kvm-ifup.conf").read_text(encoding="utf-8").splitlines()
    calls = {f"{key}=-/usr/sbin/kvm-ifup reconcile" for key in ("ExecStartPost", "ExecReload", "ExecStopPost")}
    assert {line for line in text if line.startswith("Exec")} == calls
    assert "debian/drop-in/kvm-ifup.conf usr/lib/systemd/system/nftables.service.d" in lines("install")
