# SPDX-License-Identifier: BSD-2-Clause
"""The settings of a site, and requests, for tests of deployments that need some."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from ganeti_cloud import config
from snf_image.request import Disk, NicRequest, Request
from snf_image.settings import MANUAL, OPTIONS, Settings
from snf_image.telling import Teller, Told

# What holds without a configuration file.
SETTINGS = Settings.of(config.defaults(OPTIONS))

KEY = f"ssh-ed25519 {base64.b64encode(bytes([0, 0, 0, 11]) + b'ssh-ed25519' + bytes(36)).decode()} user@host"
HASH = "$6$saltsalt$" + "x" * 86

NIC = NicRequest("aa:00:00:11:22:33", "192.0.2.7", "192.0.2.0/24", "192.0.2.1", "", "", frozenset())


def settings(text: str) -> Settings:
    """What the file *text* says."""
    return Settings.of(config.parse(text, "snf-image.toml", OPTIONS, MANUAL))


def request(disk: Path, **parameters: str) -> Request:
    """One for an instance with the file *disk*."""
    return Request("vm1.example.com", "", False, "default", (Disk(str(disk), ""),), (), parameters)


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.console: list[str] = []
        self.teller = Teller([self.told.append], self.console.append)

    @property
    def texts(self) -> list[str]:
        """What was told for people."""
        return [text for told in self.told for text in told.fields.get("messages", [])]


def osp(parameters: Mapping[str, str]) -> dict[str, str]:
    """*parameters* as Ganeti hands them to a script."""
    return {f"OSP_{name.upper()}": value for name, value in parameters.items()}
