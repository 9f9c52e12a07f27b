# SPDX-License-Identifier: BSD-2-Clause
"""What the shell offers when the administrator presses the tab key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPLETION = ROOT / "extstorage" / "archipelago" / "completion" / "archipelago"

PRESS_TAB = """
source "$1"
program=$2
shift 2
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_archipelago "$program"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program under the name that it has when it is installed."""
    path = tmp_path / "archipelago"
    folders = [str(ROOT), str(ROOT / "extstorage")]
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:0] = {folders!r}\n"
        "from archipelago.cli import main\nsys.exit(main())\n",
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
    ],
    ids=["groups", "commands", "options", "values", "nothing"],
)
def test_the_shell_offers_what_fits(program: Path, typed: list[str], offered: list[str]) -> None:
    argv = ["bash", "-c", PRESS_TAB, "bash", str(COMPLETION), str(program), *typed]
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", timeout=30, check=True)
    assert (done.stdout.splitlines(), done.stderr) == (offered, "")
