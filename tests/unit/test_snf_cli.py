# SPDX-License-Identifier: BSD-2-Clause
"""The program `snf-image`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from ganeti_cloud.errors import CloudError
from snf_image import checking, settings
from snf_image import cli as program
from snf_image.cli.progress import Progress
from snf_image.machine import image, running
from snf_image.telling import Told
from snf_image_helper.job import Job
from snf_image_helper.lines import Line
from tests.unit.snfsettings import KEY, SETTINGS

Called = Callable[..., tuple[int, str, str]]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that the helper machine was given."""
    found: list[Job] = []

    def run(job: Job, disks: object, settings: object, on_line: Callable[[Line], None], on_console: object) -> None:
        found.append(job)
        if job.hostname == "bad":
            raise CloudError(f"cannot: {job.password}", hint="do not")
        on_line(Line("task-start", "AddSwap", ""))

    monkeypatch.setattr(running, "run_helper", run)
    return found


@pytest.fixture
def snf_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], jobs: list[Job]
) -> Called:
    monkeypatch.setattr(settings, "load", lambda variant: SETTINGS)
    (tmp_path / "disk").write_bytes(bytes(4096))
    (tmp_path / "pw").write_text("canary\n", encoding="utf-8")
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["snf-image", *words])
        return program.main(), *capfd.readouterr()

    return call


def commands() -> list[str]:
    assert isinstance(program.cli, click.Group)
    return sorted(program.cli.commands)


@pytest.mark.parametrize("command", commands())
def test_help_shows_examples(snf_image: Called, command: str) -> None:
    status, out, err = snf_image(command, "--help")
    assert (status, err) == (0, "")
    assert f"\n    snf-image {command}" in out


def test_a_deployment_by_hand(snf_image: Called, jobs: list[Job]) -> None:
    nic = "mac=aa:00:00:00:00:01,ip=192.0.2.7,subnet=192.0.2.0/24"
    words = ["--hostname", "try1", "--password-file", "pw", "--ssh-key", "key", "--property", "users=debian"]
    status, out, err = snf_image("deploy", "--disk", "disk", *words, "--nic", nic)
    assert (status, out.startswith("deployed in ")) == (0, True)
    assert err.splitlines() == [
        "info: Starting customization VM...",
        "helper: task-start: AddSwap",
        "info: Customization VM finished successfully.",
    ]
    [job] = jobs
    assert (job.hostname, job.password, job.ssh_keys, job.users) == ("try1", "canary", (KEY,), ("debian",))
    assert [(each.mac, each.ipv4) for each in job.nics] == [("aa:00:00:00:00:01", "static")]


def test_a_dry_run_says_what_would_be_done(snf_image: Called, jobs: list[Job], tmp_path: Path) -> None:
    status, out, _ = snf_image("deploy", "--disk", "disk", "-n", "--property", "EXCLUDE_TASK_AddSwap=yes")
    wanted = f"nothing is copied; a helper machine would adapt {tmp_path}/disk for localhost, without AddSwap\n"
    assert (status, out, jobs) == (0, wanted, [])
    _, out, _ = snf_image("deploy", "--disk", "disk", "-n", "--property", "EXCLUDE_ALL_TASKS=yes")
    assert out == "nothing is copied; no helper machine would be started\n"


def test_the_messages_as_json(snf_image: Called) -> None:
    status, out, err = snf_image("deploy", "--disk", "disk", "--json")
    assert (status, err) == (0, "")
    assert [json.loads(line)["type"] for line in out.splitlines()] == [
        "image-info",
        "image-helper",
        "image-info",
        "end",
    ]


def test_a_terminal_gets_a_bar_and_whole_lines(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(quiet=False)
    progress.show(Told("image-copy-progress", {"position": 1, "total": 2, "progress": 50.0}))
    progress.show(Told("image-info", {"messages": ["Image copy finished."]}))
    progress.console("boots")
    bar = f"\rcopying    [{'#' * 20}{' ' * 20}]  50 %"
    assert capfd.readouterr().err == f"{bar}\ninfo: Image copy finished.\nconsole: boots\n"


def test_a_failure_tells_no_password(snf_image: Called) -> None:
    status, out, err = snf_image("deploy", "--disk", "disk", "--hostname", "bad", "--password-file", "pw", "--json")
    assert (status, err) == (1, "error: cannot: <hidden>\nhint: do not\n")
    assert "canary" not in out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "error: Missing option '--disk'"),
        (("--disk", "disk", "--nic", "speed=1"), "error: --nic knows no speed"),
        (("--disk", "disk", "--property", "x"), "error: 'x' is no property"),
        (("--disk", "disk", "--image", "x:y"), "error: img_id: 'x:y' is nothing that an image comes from"),
        (("--disk", "disk", "--user-data", "missing"), "error: Invalid value for '--user-data'"),
    ],
)
def test_what_is_wrong_is_two_lines(snf_image: Called, words: tuple[str, ...], problem: str) -> None:
    status, _, err = snf_image("deploy", *words)
    assert status != 0
    assert err.startswith(problem)
    assert err.splitlines()[-1].startswith("hint: ")


def test_the_configuration_is_printed(snf_image: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, _ = snf_image("config")
    assert (status, "machine.memory_mib = 512" in out.splitlines()) == (0, True)
    status, out, _ = snf_image("config", "--sample")
    assert (status, out.startswith("[images]\n")) == (0, True)


def test_the_check_of_a_node_names_what_is_missing_and_the_remedy(
    snf_image: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "verified", lambda: image.verified(Path("/nonexistent")))
    status, out, _ = snf_image("check", "--json")
    found = {each["name"]: each for each in json.loads(out)}
    assert status == 1
    assert found["programs"]["text"].startswith("missing: qemu-system-x86_64, qemu-img")
    assert found["programs"]["remedy"] == "apt install bubblewrap qemu-system-x86 qemu-utils util-linux"
    assert found["helper machine"]["state"] == "FAIL"
    assert found["catalogue"]["state"] == "NO"
    assert set(found) >= {"configuration", "user", "accelerator", "images", "spool"}
