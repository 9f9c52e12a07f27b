# SPDX-License-Identifier: BSD-2-Clause
"""Where images come from: what the site allows, and no file outside of its folder."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ganeti_cloud.errors import RequestError
from snf_image import beneath, sources

ALLOWED = ("https://img.example.org/os/", "https://other.example.org:8443/")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("null", sources.Null()),
        ("archipelago:debian-13", sources.Catalogue("debian-13")),
        (f"archipelago:debian@sha256:{'a' * 12}", sources.Catalogue(f"debian@sha256:{'a' * 12}")),
        ("debian/13.qcow2", sources.File("debian/13.qcow2")),
        ("https://img.example.org/os/a/b.raw", sources.Https("https://img.example.org/os/a/b.raw")),
        ("https://img.example.org:443/os/b", sources.Https("https://img.example.org:443/os/b")),
        ("https://other.example.org:8443/b?x=1", sources.Https("https://other.example.org:8443/b?x=1")),
    ],
)
def test_what_an_image_can_come_from(text: str, source: sources.Source) -> None:
    assert sources.parse(text, ALLOWED) == source


@pytest.mark.parametrize(
    "url",
    [
        "https://img.example.org.evil.org/os/x",
        "https://img.example.org/os",
        "https://img.example.org/other/x",
        "https://img.example.org:444/os/x",
        "https://img.example.org@evil.org/os/x",
        "https://user:pw@img.example.org/os/x",
        "https://img.example.org/os/../secret",
        "https://img.example.org/os/%2e%2e/secret",
        "https://img.example.org/os/%2E./secret",
        "https://img.example.org/os/x#y",
        "https://img.example.org/os/\\x",
        "https://img.example.org/os/a b",
        "https://other.example.org/b",
        "https://[::1/os/x",
        "https:///os/x",
    ],
)
def test_what_the_site_does_not_allow(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        sources.parse(url, ALLOWED)


def test_without_leave_nothing_is_loaded() -> None:
    with pytest.raises(ValueError, match="below none of the addresses that this site allows"):
        sources.parse("https://img.example.org/os/x", ())


def read(folder: Path, name: str) -> bytes:
    with beneath.opened(folder, name) as path:
        return path.read_bytes()


def test_a_file_within_the_folder_is_read_links_within_it_followed(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "x.raw").write_bytes(b"x")
    (folder / "link").symlink_to("sub/x.raw")
    assert (read(folder, "sub/x.raw"), read(folder, "link")) == (b"x", b"x")


@pytest.mark.parametrize("name", ["out", "up", "absolute", "folder", "pipe", "missing", "proc", "sub/../../secret"])
def test_no_name_leads_out_of_the_folder_or_to_what_is_no_file(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "images"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "images-more").mkdir()
    (folder / "out").symlink_to("../secret")
    (folder / "up").symlink_to("../images-more")
    (folder / "absolute").symlink_to(tmp_path / "secret")
    (folder / "proc").symlink_to("/proc/self/mem")
    os.mkfifo(folder / "pipe")
    with pytest.raises(RequestError, match=rf"image '{name}' "):
        read(folder, name)


def test_what_was_opened_stays_the_file_whatever_the_name_becomes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"good")
    with beneath.opened(tmp_path, "x") as path:
        (tmp_path / "x").unlink()
        (tmp_path / "x").symlink_to("/etc/passwd")
        assert path.read_bytes() == b"good"


def test_the_folder_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="images: No such file or directory"):
        read(tmp_path / "images", "x")


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    read(tmp_path, "x")
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
