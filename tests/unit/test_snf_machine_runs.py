# SPDX-License-Identifier: BSD-2-Clause
"""Real runs of the machine, with helpers that behave well and with such that a guest has got hold of."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import run, serving
from snf_image.machine import running
from snf_image.machine.running import MachineDisk, MachineSettings, run_helper
from snf_image_helper.lines import LINES, Line
from tests.unit.snf_machine import JOB, SETTINGS, TREE, scripted

pytestmark = pytest.mark.host_tools

MIB = 1 << 20


class Heard:
    """What came out of a run, and the QEMU that was running when the first line came."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.console: list[str] = []
        self.status: dict[str, str] = {}
        self.command_line = ""

    def line(self, line: Line) -> None:
        if not self.lines:
            for process in machines(os.getpid()):
                self.status = status_of(process)
                self.command_line = (process / "cmdline").read_text(encoding="utf-8") + (process / "environ").read_text(
                    encoding="utf-8"
                )
        self.lines.append(line)

    @property
    def said(self) -> list[tuple[str, str, str]]:
        return [(line.kind, line.task, line.text) for line in self.lines]


def machines(ancestor: int) -> list[Path]:
    """The folders in /proc of each QEMU that was started below the process *ancestor*."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if (folder / "comm").read_text(encoding="utf-8").startswith("qemu-system") and ancestor in ancestors(
                    int(folder.name)
                ):
                    found.append(folder)
            except OSError:
                pass  # it has ended meanwhile
    return found


def ancestors(pid: int) -> list[int]:
    above = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        above.append(pid)
    return above


def status_of(process: Path) -> dict[str, str]:
    """Of /proc/PID/status what tells its rights, and which of its namespaces are ours as well."""
    wanted = ("Uid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
    lines = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="utf-8").splitlines())
    status = {name: " ".join(lines[name].split()) for name in wanted}
    kinds = ("net", "pid", "mnt", "ipc", "uts")
    ours = [kind for kind in kinds if os.readlink(process / "ns" / kind) == os.readlink(f"/proc/self/ns/{kind}")]
    limits = {
        line[:25].strip(): line[25:].split()[0]
        for line in (process / "limits").read_text(encoding="utf-8").splitlines()
        if line[:25].strip()
    }
    shown = {"core": limits["Max core file size"], "files": limits["Max open files"], "cpu": limits["Max cpu time"]}
    return {**status, **shown, "ours": " ".join(ours)}


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as stream:
        stream.truncate(4 * MIB)
    return path


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert machines(os.getpid()) == []


def start(
    folder: Path, heard: Heard, *disks: MachineDisk, settings: MachineSettings = SETTINGS, script: str = ""
) -> None:
    image = scripted(folder / "image", script)
    run_helper(JOB, disks, settings, heard.line, heard.console.append, folder=image, state=folder / "state")


@contextmanager
def nbd_server(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The socket of an NBD server, and the file that it serves."""
    file, socket = folder / "served", folder / "socket"
    with file.open("wb") as stream:
        stream.truncate(4 * MIB)
    with serving(
        ["qemu-nbd", "--persistent", "--format=raw", f"--socket={socket}", str(file)], timeout_s=120
    ) as server:
        while not socket.exists():
            server.check()
            time.sleep(0.01)
        yield socket, file


def test_a_good_helper_gets_its_job_and_disks_and_the_machine_has_no_rights(
    tmp_path: Path, disk: Path, heard: Heard
) -> None:
    script = """
say task-start Copy
b dd if=$(disk job) of=$(disk disk0) bs=512 count=2
echo second | b dd of=$(disk disk1) bs=512 seek=1
echo here is the console
b id; b ip link
say task-end Copy
say success
end
"""
    with nbd_server(tmp_path) as (socket, served):
        disks = [MachineDisk(str(disk), "", "none"), MachineDisk("", str(socket), "default")]
        start(tmp_path, heard, *disks, script=script)
    assert heard.said == [("task-start", "Copy", ""), ("task-end", "Copy", ""), ("success", "", "")]
    assert "here is the console" in heard.console
    assert not any("eth0" in text for text in heard.console)
    encoded = JOB.encode()[:1024]
    assert disk.read_bytes()[: len(encoded)] == encoded
    assert served.read_bytes()[512:519] == b"second\n"
    nobody = run(["id", "-u", "nobody"], timeout_s=10).strip()
    none = "0" * 16
    assert heard.status == {
        "Uid": " ".join([nobody] * 4),
        "Groups": "",
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), none),
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "core": "0",
        "files": "128",
        "cpu": "60",
        "ours": "",
    }
    assert JOB.password not in heard.command_line


def test_success_is_none_when_qemu_ends_badly(tmp_path: Path, heard: Heard) -> None:
    image = scripted(tmp_path / "image", "say success\nb sleep 60\n")

    def kill(line: Line) -> None:
        heard.line(line)
        for process in machines(os.getpid()):
            os.kill(int(process.name), signal.SIGKILL)

    with pytest.raises(CloudError, match="^the helper machine was killed$"):
        run_helper(JOB, [], SETTINGS, kill, heard.console.append, folder=image, state=tmp_path / "state")
    assert heard.said == [("success", "", "")]


def test_a_machine_that_panics_at_once_said_nothing(tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(CloudError, match="^the helper machine said nothing before it ended") as caught:
        start(tmp_path, heard, script="exit 3\n")
    assert caught.value.hint == "the helper machine's console is in the log above"
    assert any("Attempted to kill init" in text for text in heard.console)


def test_a_silent_machine_is_ended_in_time(tmp_path: Path, heard: Heard) -> None:
    brief = SETTINGS._replace(soft_limit_s=2, hard_limit_s=2)
    began = time.monotonic()
    with pytest.raises(CloudError, match="^the helper machine said nothing within 2 s$"):
        start(tmp_path, heard, settings=brief, script="b sleep 60\n")
    assert time.monotonic() - began < 10


def test_a_flood_is_dropped_with_one_warning_of_each_kind(tmp_path: Path, heard: Heard) -> None:
    script = """
say task-start ChangePassword
b yes | b head -c 5000 >/dev/console
{
    b yes "no line of ours" | b head -c 20000
    b yes "{\\"kind\\": \\"warning\\", \\"task\\": \\"\\", \\"text\\": \\"more\\"}" | b head -n 1200
    b yes | b tr -d '\\n' | b head -c 1000000
} >&3
end
"""
    with pytest.raises(CloudError, match="^ChangePassword: the helper machine ended before all was done$"):
        start(tmp_path, heard, script=script)
    warnings = [line.text for line in heard.lines if line.text != "more"]
    assert warnings == [
        "",
        "the helper machine says what is no line of ours: that is passed over",
        f"the helper machine says too much: after {LINES} lines nothing more is listened to",
    ]
    assert len(heard.lines) == LINES + 2
    assert heard.console.count("y") == 2500


def test_a_flood_that_does_not_end_is_left_in_time() -> None:
    ours, theirs = socket.socketpair()
    taken = 0

    def take(piece: bytes) -> None:
        nonlocal taken
        taken += len(piece)

    with (
        ours,
        theirs,
        selectors.DefaultSelector() as selector,
        serving(["/bin/sh", "-c", "exec yes >&2"], timeout_s=60, stderr_fd=theirs.fileno()),
    ):
        selector.register(ours, selectors.EVENT_READ, take)
        began = time.monotonic()
        assert not running._listen(selector, 0.3)
        assert time.monotonic() - began < 5
    assert taken > 10_000


def test_too_much_processor_time_ends_the_machine(tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(CloudError, match="^Spin: the helper machine has used up its time of the processor$") as caught:
        start(
            tmp_path, heard, settings=SETTINGS._replace(cpu_limit_s=6), script="say task-start Spin\nb yes >/dev/null\n"
        )
    assert caught.value.hint == "the setting is [machine] cpu_limit_s"


def test_nothing_is_left_when_the_caller_is_killed(tmp_path: Path) -> None:
    image = scripted(tmp_path / "image", "say task-start Sleep\nb sleep 60\n")
    program = f"""
from pathlib import Path
from snf_image.machine.running import run_helper
from tests.unit.snf_machine import JOB, SETTINGS
state = Path({str(tmp_path)!r}, "state")
run_helper(JOB, [], SETTINGS, lambda line: print(line, flush=True), print, folder=Path({str(image)!r}), state=state)
"""
    env = {**os.environ, "PYTHONPATH": f"{TREE}:{TREE}/os_providers/snf-image"}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=env, text=True) as caller:
        assert caller.stdout is not None
        assert "Sleep" in caller.stdout.readline()
        [machine] = machines(caller.pid)
        caller.kill()
        caller.wait()
    end = time.monotonic() + 5
    while machine.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not machine.exists()


def test_a_disk_that_is_not_there_is_named(tmp_path: Path, heard: Heard) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(CloudError) as caught:
        start(tmp_path, heard, MachineDisk(missing, "", "none"))
    assert str(caught.value) == f"{missing}: the disk cannot be opened: No such file or directory"


def test_a_user_that_is_not_there_is_named(tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(CloudError, match="^there is no user 'nobody-here' for the helper machine$"):
        start(tmp_path, heard, settings=SETTINGS._replace(user="nobody-here"))
