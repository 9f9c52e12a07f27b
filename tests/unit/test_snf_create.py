# SPDX-License-Identifier: BSD-2-Clause
"""The script `create` as Ganeti runs it: its log, its events, its end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ganeti_cloud import spool
from ganeti_cloud.errors import CloudError
from ganeti_cloud.imagefile import temporary
from snf_image import provider, settings
from snf_image.machine import running
from snf_image_helper.job import Job
from snf_image_helper.lines import Line
from tests.unit.snfsettings import SETTINGS

Create = Callable[..., tuple[int, str, str]]


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, object]]]:
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(spool, "FOLDER", folder)
    monkeypatch.setattr(spool.Writer.__init__, "__defaults__", (folder,))
    return lambda: [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


@pytest.fixture
def create(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], events: object
) -> Create:
    monkeypatch.setattr(settings, "load", lambda variant: SETTINGS)
    monkeypatch.setattr(temporary, "PLACE", tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))

    def call(helper: Callable[..., None], **parameters: str) -> tuple[int, str, str]:
        monkeypatch.setattr(running, "run_helper", helper)
        env = {"INSTANCE_NAME": "vm1", "DISK_COUNT": "1", "DISK_0_PATH": str(disk), "OSP_IMG_ID": "null"}
        env |= {f"OSP_{name.upper()}": value for name, value in parameters.items()}
        try:
            return provider.main(["create"], env), *capfd.readouterr()
        finally:
            signal.signal(signal.SIGTERM, before)

    return call


def succeeds(job: Job, disks: object, settings: object, on_line: Callable[[Line], None], on_console: object) -> None:
    on_line(Line("task-start", "AssignHostname", ""))
    on_line(Line("warning", "AssignHostname", f"{job.password} is no name"))


def fails(job: Job, *_: object) -> None:
    raise CloudError(f"ChangePassword: {job.password} is too weak", hint=f"not {job.password}")


def test_the_log_and_the_spool_tell_the_same(create: Create, events: Callable[[], list[dict[str, object]]]) -> None:
    status, out, err = create(succeeds, img_passwd="canary")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "info: Starting customization VM...",
        "helper: task-start: AssignHostname",
        "helper: warning: AssignHostname: <hidden> is no name",
        "info: Customization VM finished successfully.",
    ]
    told = events()
    assert [event["type"] for event in told] == ["image-info", "image-helper", "image-helper", "image-info"]
    assert {event["instance"] for event in told} == {"vm1"}
    assert "canary" not in json.dumps(told)


def test_a_failure_is_an_event_and_ends_the_log_with_its_remedy(
    create: Create, events: Callable[[], list[dict[str, object]]]
) -> None:
    status, out, err = create(fails, img_passwd="canary")
    assert (status, out) == (1, "info: Starting customization VM...\n")
    assert err == "error: ChangePassword: <hidden> is too weak\nhint: not <hidden>\n"
    last = events()[-1]
    assert (last["type"], last["messages"]) == ("image-error", ["ChangePassword: <hidden> is too weak"])


def test_a_bad_request_is_an_event_as_well(create: Create, events: Callable[[], list[dict[str, object]]]) -> None:
    status, _, err = create(succeeds, img_format="iso")
    assert (status, err.startswith("error: img_format: 'iso' is none of ")) == (1, True)
    assert [event["type"] for event in events()] == ["image-error"]


def test_a_signal_is_a_failure_with_an_event(create: Create, events: Callable[[], list[dict[str, object]]]) -> None:
    def ends(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    status, _, err = create(ends)
    assert (status, err.splitlines()[0]) == (1, "error: the deployment was ended by a signal")
    assert events()[-1]["type"] == "image-error"


def test_a_bug_keeps_its_traceback_and_is_an_event(
    create: Create, events: Callable[[], list[dict[str, object]]]
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        create(breaks)
    assert events()[-1]["type"] == "image-error"


def test_without_a_spool_the_deployment_succeeds(create: Create, tmp_path: Path) -> None:
    (tmp_path / "spool").rmdir()
    status, _, err = create(succeeds)
    assert status == 0
    assert err.splitlines()[-1] == f"warning: 4 events did not get into {tmp_path / 'spool'}"
