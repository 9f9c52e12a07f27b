# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti says of its disks, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago.ganeti import guard, ssconf, usage
from archipelago.ganeti.usage import Usage
from ganeti_cloud.errors import GanetiError, RequestError
from tests.unit.settings import SETTINGS, VOLUME


def disk(name: str, provider: str = "archipelago", kind: str = "ext") -> dict[str, object]:
    return {"dev_type": kind, "logical_id": [provider, name], "size": 1024}


def test_the_disks_of_instances() -> None:
    instances: dict[str, dict[str, object]] = {
        "inst1": {"disks": [disk("a"), disk("b", "other"), disk("c")]},
        "inst2": {"disks": [disk("d", kind="file")]},
        "inst3": {"disks": []},
    }
    assert usage.disks_of(instances) == {"a": "inst1", "c": "inst1"}


def test_the_disks_of_the_configuration_have_the_detached_ones() -> None:
    configuration = {
        "instances": {"u1": {"name": "inst1", "disks": ["d1"]}, "u2": {"name": "inst2"}},
        "disks": {"d1": disk("a"), "d2": disk("b"), "d3": disk("c", kind="drbd"), "d4": disk("d", "other")},
    }
    assert usage.configured_disks(configuration) == {"a": "inst1", "b": usage.DETACHED}


def test_the_oldest_job() -> None:
    assert usage._oldest([[20, 0], [10, 500_000], [30, 0]]) == 10.5
    assert usage._oldest([]) is None


def test_ssconf(tmp_path: Path) -> None:
    assert (ssconf.cluster_name(str(tmp_path)), ssconf.master_node(str(tmp_path))) == ("", "")
    (tmp_path / "ssconf_cluster_name").write_text("cluster.example.com\n")
    (tmp_path / "ssconf_master_node").write_text("node1.example.com\n")
    assert ssconf.cluster_name(str(tmp_path)) == "cluster.example.com"
    assert ssconf.master_node(str(tmp_path)) == "node1.example.com"


@pytest.mark.parametrize(
    ("disks", "complete", "error"),
    [
        ({VOLUME: "inst1"}, True, f"volume {VOLUME} is a disk of inst1"),
        ({VOLUME: usage.DETACHED}, True, f"volume {VOLUME} is a disk that is detached from its instance"),
        (
            {},
            False,
            f"whether volume {VOLUME} is a disk that is detached from its instance cannot be seen from this node",
        ),
    ],
)
def test_what_may_be_a_disk_is_refused(disks: dict[str, str], complete: bool, error: str) -> None:
    with pytest.raises(RequestError) as caught:
        guard.refuse(Usage("c", disks, complete, None), VOLUME)
    assert str(caught.value) == error


def test_what_is_no_disk_is_not_refused() -> None:
    guard.refuse(Usage("c", {"other": "inst1"}, complete=True, busy_since=None), VOLUME)


def test_where_nobody_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "SOCKET", str(tmp_path / "none"))
    monkeypatch.setattr(usage, "master_node", lambda: "")
    with pytest.raises(GanetiError, match="^this node belongs to no Ganeti cluster"):
        usage.asked(SETTINGS)
    monkeypatch.setattr(usage, "master_node", lambda: "node1")
    with pytest.raises(GanetiError, match="which volumes are disks: node1 can$"):
        usage.asked(SETTINGS)
    with pytest.raises(RequestError, match=f"^whether volume {VOLUME} is a disk of an instance cannot be said here: "):
        guard.refuse_disk(SETTINGS, VOLUME)


def test_a_certificate_is_needed_for_rapi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "SOCKET", str(tmp_path / "none"))
    settings = SETTINGS._replace(rapi="https://cluster:5080", rapi_certificate=str(tmp_path / "rapi.pem"))
    with pytest.raises(GanetiError, match="rapi.pem cannot be read"):
        usage.asked(settings)
    (tmp_path / "rapi.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(GanetiError, match="has no certificate$"):
        usage.asked(settings)
