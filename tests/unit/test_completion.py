# SPDX-License-Identifier: BSD-2-Clause
"""What the shell offers when the administrator presses the tab key, for each program of the suite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Where each program is from: the folder that has its completion, and that of its Python package.
PLACES = {
    "archipelago": (ROOT / "extstorage" / "archipelago", ROOT / "extstorage", "archipelago"),
    "ganeti-cloud-hooks": (ROOT / "ganeti_hooks", ROOT, "ganeti_hooks"),
    "kvm-ifup": (ROOT / "kvm-ifup", ROOT / "kvm-ifup", "kvm_ifup"),
    "nfdhcpd": (ROOT / "nfdhcpd", ROOT, "nfdhcpd"),
    "snf-image": (ROOT / "os_providers" / "snf-image", ROOT / "os_providers" / "snf-image", "snf_image"),
}

PRESS_TAB = """
source "$1"
program=$2
function=$3
shift 3
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
"$function" "$program"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def installed(name: str, folder: Path) -> Path:
    """The program *name* in *folder*, under the name that it has when it is installed."""
    _, place, package = PLACES[name]
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:0] = {[str(ROOT), str(place)]!r}\n"
        f"from {package}.cli import main\nsys.exit(main())\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


@pytest.mark.host_tools
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["archipelago", ""], ["config", "doctor", "gc", "image", "maintain", "snapshot", "trash", "volume"]),
        (["archipelago", "image", "im"], ["import"]),
        (["archipelago", "image", "remove", "--d"], ["--dry-run"]),
        (["archipelago", "image", "import", "--format", ""], ["raw", "qcow2", "vmdk", "vpc", "vhdx"]),
        (["archipelago", "image", "nothing"], [""]),
        (["ganeti-cloud-hooks", ""], ["check-config", "status"]),
        (["ganeti-cloud-hooks", "status", "--j"], ["--json"]),
        (["kvm-ifup", ""], ["check-config", "down", "reconcile", "refresh", "release", "show", "up"]),
        (["kvm-ifup", "refresh", "web1", "--t"], ["--tags"]),
        (["nfdhcpd", ""], ["answers", "check-config", "leases", "rules", "run"]),
        (["nfdhcpd", "rules", "apply", "--dry"], ["--dry-run"]),
        (["nfdhcpd", "run", "--c"], ["--config", "--check-config"]),
        (["snf-image", ""], ["check", "config", "deploy"]),
        (["snf-image", "deploy", "--pas"], ["--password-file", "--password-hash-file"]),
        (["snf-image", "deploy", "--cache", "write"], ["writeback", "writethrough"]),
    ],
    ids=" ".join,
)
def test_the_shell_offers_what_fits(tmp_path: Path, typed: list[str], offered: list[str]) -> None:
    name = typed[0]
    program = installed(name, tmp_path)
    folder, _, package = PLACES[name]
    argv = [
        "bash",
        "-c",
        PRESS_TAB,
        "bash",
        str(folder / "completion" / name),
        str(program),
        f"_{name.replace('-', '_')}",
        *typed,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", timeout=30, check=True)
    assert (done.stdout.splitlines(), done.stderr) == (offered, "")
