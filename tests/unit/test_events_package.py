# SPDX-License-Identifier: BSD-2-Clause
"""What the package ganeti-cloud-common does for events: the user, the folder, the documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganeti_cloud import process, spool
from tests.unit import manual
from tests.unit.test_house import ROOT

PACKAGE = ROOT / "debian" / "ganeti-cloud-common"


def lines(suffix: str) -> list[str]:
    """Of the file of debhelper for the package."""
    return PACKAGE.with_suffix(f".{suffix}").read_text(encoding="utf-8").splitlines()


@pytest.mark.host_tools
def test_the_spool_is_made_for_its_user(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    process.run(["systemd-sysusers", f"--root={tmp_path}", str(PACKAGE) + ".sysusers"], timeout_s=30)
    folder = tmp_path / spool.FOLDER.relative_to("/")
    for mode in (None, 0o750):  # also where an older version has made it
        if mode is not None:
            folder.chmod(mode)
        process.run(["systemd-tmpfiles", "--create", f"--root={tmp_path}", str(PACKAGE) + ".tmpfiles"], timeout_s=30)
        found = folder.stat()
        users = (tmp_path / "etc" / "passwd").read_text(encoding="utf-8")
        groups = (tmp_path / "etc" / "group").read_text(encoding="utf-8")
        assert f"ganeti-cloud:x:{found.st_uid}:{found.st_gid}:" in users
        assert f"ganeti-cloud:x:{found.st_gid}:" in groups
        assert found.st_mode & 0o7777 == 0o2750


def test_the_documents_of_events_are_packaged() -> None:
    pages = [f"docs/man/{page.name}" for page in sorted(manual.FOLDER.glob("ganeti-cloud-*.7"))]
    assert lines("manpages") == pages
    assert "docs/event.schema.json usr/share/ganeti-cloud" in lines("install")
    tags = manual.read("ganeti-cloud-event.7")["FILES"].tags
    assert tags == ["/usr/share/ganeti-cloud/event.schema.json"]
