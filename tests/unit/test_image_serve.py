# SPDX-License-Identifier: BSD-2-Clause
"""The command `archipelago image serve`: the content of an image as NBD on a socket."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archipelago.cli.serve import _refuse_path
from archipelago.file import store as file_store
from archipelago.parameters import Settings
from archipelago.rados.contents import _escaped
from ganeti_cloud.errors import RequestError
from ganeti_cloud.image import Image, Version
from tests.unit.settings import SETTINGS

pytestmark = pytest.mark.host_tools

CONTENT = os.urandom(1 << 20)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ROOT = Path(__file__).parents[2]

SERVE = """
import sys
from pathlib import Path
import click
from archipelago.cli import common, serve
from tests.unit.settings import SETTINGS
folder, path = sys.argv[1:]
common.settings = lambda: SETTINGS._replace(driver="file", folder=folder, pool="default", image_pool="default")
serve.serve(["debian", "--socket", path])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with the image debian."""
    (tmp_path / "default").mkdir()
    settings: Settings = SETTINGS._replace(driver="file", folder=str(tmp_path), pool="default", image_pool="default")
    with file_store.opened(settings) as store:
        with store.drafted("debian", SHA256, len(CONTENT), None) as draft:
            draft.write(0, CONTENT)
            with store.catalogue_locked():
                content = draft.keep(hashlib.sha256(CONTENT).digest())
        version = Version(SHA256, len(CONTENT), "raw", "2026-01-01T00:00:00Z", {}, content.holder, content.snapshot)
        assert store.swap_record("debian", None, Image("debian", (version,)).encode())
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", SERVE, str(folder), str(folder / "s")]
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE) as process:
        end = time.monotonic() + 20
        while not (folder / "s").exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        yield process
        process.kill()


def read(socket: Path) -> bytes:
    target = socket.with_name("out")
    source = f"driver=raw,file.driver=nbd,file.server.type=unix,file.server.path={socket}"
    subprocess.run(["qemu-img", "convert", "-O", "raw", "--image-opts", source, str(target)], check=True, timeout=30)
    return target.read_bytes()


def test_the_content_can_be_read_again_and_again(folder: Path, server: subprocess.Popen[bytes]) -> None:
    assert read(folder / "s") == CONTENT
    assert read(folder / "s") == CONTENT


def test_it_cannot_be_written(folder: Path, server: subprocess.Popen[bytes]) -> None:
    source = f"driver=raw,file.driver=nbd,file.server.type=unix,file.server.path={folder}/s"
    done = subprocess.run(["qemu-io", "--image-opts", "-c", "write 0 512", source], capture_output=True, check=False)
    assert (done.returncode != 0, read(folder / "s") == CONTENT) == (True, True)


def test_the_server_goes_with_the_command(folder: Path, server: subprocess.Popen[bytes]) -> None:
    assert len(_serving(folder)) == 1
    server.send_signal(signal.SIGKILL)
    server.wait()
    end = time.monotonic() + 5
    while _serving(folder) and time.monotonic() < end:
        time.sleep(0.02)
    assert _serving(folder) == []


def _serving(folder: Path) -> list[str]:
    listed = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, encoding="utf-8", check=True)
    return [line for line in listed.stdout.splitlines() if f"--socket={folder}/s" in line]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("there", "something is there"),
        ("none/s", "there is no such folder"),
        ("x" * 120, "it is longer than 107 bytes"),
    ],
)
def test_what_cannot_be_a_socket(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "there").symlink_to("nowhere")
    with pytest.raises(RequestError, match=f"cannot be a socket: {reason}"):
        _refuse_path(str(tmp_path / name))


def test_what_ends_a_part_of_a_file_name_of_qemu_is_marked() -> None:
    assert _escaped(r"a:b\c") == r"a\:b\\c"
