# SPDX-License-Identifier: BSD-2-Clause
"""The documents that list things list all of them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit import manual

ROOT = Path(__file__).parents[2]
STATES = {"done", "partial", "open", "not wanted"}


def rows() -> list[list[str]]:
    """The rows of docs/features.md: number, feature, state, test."""
    lines = (ROOT / "docs" / "features.md").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d", line)]


def test_every_feature_has_its_row_and_a_known_state() -> None:
    found = rows()
    assert [row[0] for row in found] == [str(number) for number in range(1, 304)]
    assert {len(row) for row in found} == {4}
    assert {row[2] for row in found} <= STATES


def test_a_feature_that_is_there_names_a_test_that_is_there() -> None:
    for number, _, state, test in rows():
        assert (test != "") == (state in {"done", "partial"}), number
        if test:
            path, _, name = test.strip("`").partition("::")
            assert f"def {name.rpartition('::')[2].partition('[')[0]}(" in (ROOT / path).read_text(encoding="utf-8"), (
                number
            )


def test_the_readme_lists_every_target_of_make() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    listed = re.findall(r"^\| `make ([a-z]+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == targets


def test_the_commands_for_sharing_are_those_of_the_manual_page() -> None:
    """The lab tests type what the manual page says."""
    page = manual.read("archipelago.toml.5")["SEVERAL CLUSTERS IN ONE CEPH"].lines
    text = (ROOT / "docs/sharing.md").read_text(encoding="utf-8")
    typed = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    words = ("ceph ", "rbd ", "mon ", "osd ", "-o ", "[", "user ", "pool ")
    commands = [line for line in typed if line.startswith(words)]
    assert len(commands) == 18
    assert set(commands) <= {line.strip() for line in page}
