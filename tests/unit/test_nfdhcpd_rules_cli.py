# SPDX-License-Identifier: BSD-2-Clause
"""``nfdhcpd rules``, in a network namespace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ganeti_cloud import process
from ganeti_cloud.errors import ConfigError
from nfdhcpd.cli.rules import rules
from tests.unit.netspace import own_network
from tests.unit.nfdhcpd_network import nft_queues, sh

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are for root"),
]

BACKEND = "nft" if os.geteuid() == 0 and nft_queues() else "iptables"
SUMMARY = "taps tap*, queues dhcp4 42, rs 143, ns 44"
DUID = '[ipv6]\nduid = "00:04:00:01"\n'
NO_RULES = "there are no rules: no packet reaches the daemon; see nfdhcpd rules apply\n"
OTHER_RULES = "there are rules for other settings; see nfdhcpd rules apply"
NOTE = "note: nft is not there or cannot do it: only the daemon itself limits how much of one guest is looked at"


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "nfdhcpd.toml"
    path.write_text(f'{DUID}mode = "slaac"\nrs_queue = 143\nns_queue = 44\n', encoding="utf-8")
    return path


def call(*arguments: str) -> str:
    """What the command prints; whatever it raises comes here."""
    return CliRunner().invoke(rules, arguments, catch_exceptions=False).stdout


def test_from_nothing_and_back(site: Path) -> None:
    file = f"--config={site}"
    before = sh("nft", "list", "ruleset")
    assert call("show", file) == NO_RULES
    assert call("apply", file) == f"rules applied by {BACKEND}: {SUMMARY}\n"
    assert call("apply", file) == f"rules applied by {BACKEND}: {SUMMARY}\n"
    first, *shown = call("show", file).splitlines()
    assert first == f"rules applied by {BACKEND}: {SUMMARY}"
    assert {"table inet nfdhcpd {", "table bridge nfdhcpd {"} <= set(shown)
    queue = {"nft": "queue flags bypass to 143", "iptables": "133 -j NFQUEUE --queue-num 143 --queue-bypass"}
    assert any(line.endswith(queue[BACKEND]) for line in shown)
    site.write_text(DUID, encoding="utf-8")
    assert call("show", file).splitlines()[0] == OTHER_RULES
    assert call("remove") == "rules removed\n"
    assert call("remove") == "there are no rules, nothing to do\n"
    assert call("show", file) == NO_RULES
    assert "nfdhcpd" not in before + sh("nft", "list", "ruleset").lower()


def test_json(site: Path) -> None:
    absent = json.loads(call("show", f"--config={site}", "--json"))
    assert absent == {
        "state": "absent",
        "backend": None,
        "kernel_limits": False,
        "taps": ["tap*"],
        "queues": {"dhcp4": 42, "rs": 143, "ns": 44},
        "rules": [],
    }
    call("apply", f"--config={site}")
    applied = json.loads(call("show", f"--config={site}", "--json"))
    assert applied["rules"]
    assert applied == {**absent, "state": "applied", "backend": BACKEND, "kernel_limits": True} | {
        "rules": applied["rules"]
    }


def test_a_dry_run_prints_and_changes_nothing(site: Path) -> None:
    printed = call("apply", f"--config={site}", "--dry-run")
    heads = [line for line in printed.splitlines() if line.startswith("#")]
    restores = ["# iptables-restore --noflush", "# ip6tables-restore --noflush"]
    assert heads == ["# nft -f -", *(restores if BACKEND == "iptables" else [])]
    assert call("show", f"--config={site}") == NO_RULES
    assert call("remove", "--dry-run") == ""
    call("apply", f"--config={site}")
    assert "delete table bridge nfdhcpd\n" in call("remove", "--dry-run")
    assert call("show", f"--config={site}").startswith("rules applied")


def test_without_nft_it_is_said_what_is_missing(site: Path, bin_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("iptables", "ip6tables"):
        for rest in ("", "-save", "-restore"):
            (bin_dir / f"{name}{rest}").symlink_to(f"/usr/sbin/{name}{rest}")
    monkeypatch.setitem(process.BASE_ENV, "PATH", str(bin_dir))
    assert call("apply", f"--config={site}") == f"rules applied by iptables: {SUMMARY}\n{NOTE}\n"
    assert call("show", f"--config={site}").splitlines()[:2] == [f"rules applied by iptables: {SUMMARY}", NOTE]


def test_a_bad_file_changes_nothing(site: Path) -> None:
    call("apply", f"--config={site}")
    before = sh("nft", "list", "ruleset")
    site.write_text('[rules]\ntaps = "a b;c"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"\[rules\] taps: 'a b;c' is not names of interfaces"):
        call("apply", f"--config={site}")
    assert sh("nft", "list", "ruleset") == before
