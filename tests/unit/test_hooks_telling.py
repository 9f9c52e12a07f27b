# SPDX-License-Identifier: BSD-2-Clause
"""What is told of each call of a hook."""

from __future__ import annotations

import random

import pytest

from ganeti_cloud import messages
from ganeti_cloud.messages import BEGIN, INSTANCE, OBJECT_BEGIN, Event
from ganeti_hooks import environment, telling
from ganeti_hooks.paths import DUTIES
from ganeti_hooks.telling import Told
from tests.unit.hooks_calls import CANARY, RECORDINGS

MAC = "aa:77:00:64:75:a5"


def told(name: str, *prefixes: str, **changed: str | None) -> Told | None:
    """Of the recording *name*, with changed variables, or without those that are None."""
    said = {key: value for key, value in {**RECORDINGS[name], **changed}.items() if value is not None}
    return telling.told(environment.read(said), prefixes)


def looks(name: str, **changed: str | None) -> dict[str, object]:
    """What is told of an instance behind its operation."""
    what = told(name, **changed)
    assert what is not None
    return what.fields


def encoded(what: Told) -> str:
    return Event("i", what.type, 0, "c", "n", what.subject, what.fields).encode()


NIC = {
    "name": "eth0",
    "uuid": "50614e47-d7fa-4095-8d82-aefb6d10485c",
    "mac": MAC,
    "ip": "10.77.0.2",
    "ipv6": "fd00:77::a877:ff:fe64:75a5",
    "mode": "bridged",
    "link": "br-lan",
    "vlan": None,
    "network": "net1",
    "firewall": None,
}


def test_an_instance_that_was_added() -> None:
    assert told("3.1 instance-add-post") == Told(
        INSTANCE,
        "inst2.lab.test",
        {
            "operation": "OP_INSTANCE_CREATE",
            "hooks_path": "instance-add",
            "nics": [NIC],
            # Ganeti does not say it of disks that it is about to make.
            "disks": [{"name": "d0", "uuid": None, "size": 64, "mode": "rw", "provider": None}],
            "tags": ["t1", "t2"],
            "primary_node": "node1.lab.test",
        },
    )


@pytest.mark.parametrize(
    "name", [name for name in RECORDINGS if name.endswith("-pre") and "instance-" in name], ids=lambda name: name
)
def test_an_operation_of_an_instance_begins(name: str) -> None:
    said = RECORDINGS[name]
    fields = {"operation": said["GANETI_OP_CODE"], "hooks_path": said["GANETI_HOOKS_PATH"]}
    assert told(name) == Told(BEGIN, said["GANETI_INSTANCE_NAME"], fields)


@pytest.mark.parametrize(
    ("name", "kind", "object_name"),
    [
        ("3.1 cluster-modify-pre", "CLUSTER", "cluster.lab.test"),
        ("3.0.2 group-add-pre", "GROUP", "grp2"),
        ("3.0.2 group-remove-pre", "GROUP", "grp2"),
        ("3.1 network-add-pre", "NETWORK", "net1"),
        ("3.1 network-rename-pre", "NETWORK", "net1"),
        ("3.0.2 node-add-pre", "NODE", "node2.lab.test"),
        ("3.0.2 node-migrate-pre", "NODE", "node2.lab.test"),
        ("3.1 node-modify-pre", "NODE", "node3.lab.test"),
    ],
)
def test_an_operation_of_something_else_begins(name: str, kind: str, object_name: str) -> None:
    what = told(name)
    assert what is not None
    assert (what.type, what.subject, what.fields["object_type"]) == (OBJECT_BEGIN, object_name, kind)


def test_every_recording_has_its_event_or_is_none_of_ours() -> None:
    silent = set()
    for name in RECORDINGS:
        what = told(name)
        if what is None:
            silent.add(name.partition(" ")[2])
        else:
            assert CANARY not in encoded(what)
            assert "incomplete" not in what.fields, name
    assert {name for name in silent if tuple(name.rsplit("-", 1)) in DUTIES} == set()
    assert silent == {
        *("cluster-modify-post", "cluster-verify-post", "config-update-post"),
        *("group-add-post", "group-modify-post", "group-remove-post", "node-add-post", "node-migrate-post"),
        *("network-add-post", "network-connect-post", "network-connect-pre", "network-disconnect-post"),
        *("network-disconnect-pre", "network-modify-post", "network-remove-post", "network-rename-post"),
        "node-modify-post",
    }


def test_behind_a_migration_the_primary_is_the_new_one() -> None:
    said = RECORDINGS["3.1 instance-migrate-post"]
    assert said["GANETI_INSTANCE_PRIMARY"] == "node1.lab.test"
    assert looks("3.1 instance-migrate-post")["primary_node"] == "node2.lab.test"


def test_a_disk_that_has_grown() -> None:
    assert RECORDINGS["3.1 disk-grow-post"]["GANETI_INSTANCE_DISK0_SIZE"] == "64"
    what = told("3.1 disk-grow-post")
    assert what is not None
    [disk] = what.fields["disks"]
    assert (disk["size"], disk["provider"], disk["uuid"]) == (128, "foo", "191d2319-f728-464a-881a-84499a352f8c")


@pytest.mark.parametrize(
    ("name", "changed"),
    [("3.1 instance-remove-post", {}), ("3.0.2 instance-export-post", {"GANETI_REMOVE_INSTANCE": "True"})],
)
def test_an_instance_that_is_gone_has_nothing_any_more(name: str, changed: dict[str, str]) -> None:
    found = looks(name, **changed)
    assert (found["nics"], found["disks"], found["primary_node"]) == ([], [], None)


def test_an_instance_that_was_renamed_has_both_names() -> None:
    what = told("3.1 instance-rename-post")
    assert what is not None
    assert (what.subject, what.fields["new_name"]) == ("inst2.lab.test", "inst3.lab.test")


@pytest.mark.parametrize("which", ["0", "eth0", "50614e47-d7fa-4095-8d82-aefb6d10485c"])
def test_the_firewall_profile_by_index_name_or_uuid(which: str) -> None:
    tags = f"a synnefo:network:{which}:protected synnefo:network:1:limited"
    assert looks("3.1 instance-add-post", GANETI_POST_INSTANCE_TAGS=tags)["nics"] == [NIC | {"firewall": "protected"}]


def test_profiles_that_contradict_each_other_are_none() -> None:
    tags = "synnefo:network:0:protected synnefo:network:eth0:limited"
    assert looks("3.1 instance-add-post", GANETI_POST_INSTANCE_TAGS=tags)["nics"] == [NIC]


@pytest.mark.parametrize(
    ("changed", "ip", "ipv6"),
    [
        ({"IP": "2001:db8::5"}, None, "2001:db8::5"),
        ({"NETWORK_SUBNET6": "2001:db8::/32"}, "10.77.0.2", "2001:db8::a877:ff:fe64:75a5"),
        # RFC 4291, appendix A makes 64 bits.
        ({"NETWORK_SUBNET6": "fd00:77::/65"}, "10.77.0.2", None),
        ({"NETWORK_SUBNET6": "nonsense"}, "10.77.0.2", None),
        ({"MAC": "aa:77"}, "10.77.0.2", None),
        ({"NETWORK_SUBNET6": ""}, "10.77.0.2", None),
    ],
)
def test_the_addresses_of_a_nic(changed: dict[str, str], ip: str | None, ipv6: str | None) -> None:
    named = {f"GANETI_POST_INSTANCE_NIC0_{key}": value for key, value in changed.items()}
    what = told("3.1 instance-add-post", **named)
    assert what is not None
    assert [(nic["ip"], nic["ipv6"]) for nic in what.fields["nics"]] == [(ip, ipv6)]


@pytest.mark.parametrize(
    "changed",
    [
        {"GANETI_POST_INSTANCE_NIC_COUNT": "2"},
        {"GANETI_POST_INSTANCE_NIC_COUNT": None},
        {"GANETI_POST_INSTANCE_NIC_COUNT": "-1"},
        {"GANETI_POST_INSTANCE_NIC_COUNT": "9" * 900},
        {"GANETI_POST_INSTANCE_DISK_COUNT": "0"},
        {"GANETI_POST_INSTANCE_NIC2_MAC": MAC},
        {"GANETI_POST_INSTANCE_NIC9999_MAC": MAC},
        {"GANETI_POST_INSTANCE_NIC0_NETWORK_NAME": "x" * 5000},
        {"GANETI_POST_INSTANCE_TAGS": "x" * 5000},
    ],
    ids=lambda changed: " ".join(f"{key[21:]}={value}"[:30] for key, value in changed.items()),
)
def test_what_cannot_be_right_is_told_as_incomplete(changed: dict[str, str | None]) -> None:
    what = told("3.1 instance-add-post", **changed)
    assert what is not None
    assert what.fields["incomplete"] is True
    assert what.fields["nics"][0]["mac"] == MAC  # what is right is still there
    assert len(encoded(what)) < 4096


def test_only_numbers_as_ganeti_writes_them_are_indexes() -> None:
    odd = {f"GANETI_POST_INSTANCE_NIC{number}_MAC": "x" for number in ("", "00", "-1", "١", "99999", "1e1", " 1")}
    assert looks("3.1 instance-add-post", **odd)["nics"] == [NIC]


@pytest.mark.parametrize(
    ("prefixes", "is_told"), [((), True), (("inst2",), True), (("web", "ins"), True), (("web",), False)]
)
def test_instances_by_the_begin_of_their_names(prefixes: tuple[str, ...], is_told: bool) -> None:
    assert [told(name, *prefixes) is not None for name in ("3.1 instance-add-pre", "3.1 instance-add-post")] == [
        is_told
    ] * 2
    assert told("3.1 network-add-pre", *prefixes) is not None


def test_what_is_not_taken_does_not_count() -> None:
    """Parameters of hypervisors, and lists of files of an import, may be longer than any name."""
    long = dict.fromkeys(["GANETI_INSTANCE_HV_kernel_args", "GANETI_SRC_IMAGES", "GANETI_POST_SRC_IMAGES"], "x" * 9000)
    assert looks("3.1 instance-add-post", **long) == looks("3.1 instance-add-post")


def test_an_instance_without_a_name_is_nothing() -> None:
    for name in ("3.1 instance-add-pre", "3.1 instance-add-post"):
        assert told(name, GANETI_INSTANCE_NAME=None) is None


def test_an_unknown_hook_is_nothing() -> None:
    for changed in (
        {"GANETI_HOOKS_PATH": "instance-fly"},
        {"GANETI_HOOKS_PATH": None},
        {"GANETI_HOOKS_PHASE": "during"},
        {"GANETI_HOOKS_PHASE": None},
    ):
        assert told("3.1 instance-add-post", **changed) is None


def test_any_environment_has_an_event_that_can_be_written_or_none() -> None:
    chance = random.Random(7)
    names = sorted({name for said in RECORDINGS.values() for name in said})
    values = sorted({value for said in RECORDINGS.values() for value in said.values()})
    odd = [
        "",
        "\udcff\udc80",
        "\ud800"[:0] + "ü☃",
        "x" * 3000,
        "0",
        "-1",
        "NaN",
        "[]",
        "synnefo:network:0:",
        "a b\tc\n",
    ]
    events = 0
    for _ in range(3000):
        said = dict(chance.choice(list(RECORDINGS.values()))) if chance.random() < 0.8 else {}
        for _ in range(chance.randrange(12)):
            name = chance.choice(names)
            if chance.random() < 0.2:
                name = name.replace("0", str(chance.randrange(-2, 400)))
            said[name] = chance.choice(values if chance.random() < 0.5 else odd)
        for name in chance.sample(sorted(said), min(len(said), chance.randrange(6))):
            del said[name]
        what = telling.told(environment.read(said), ())
        # Names that no object of Ganeti can have are refused when the event is written.
        if what is not None and len(what.subject.encode("utf-8")) <= messages.MOST_NAME:
            encoded(what).encode("utf-8")
            events += 1
    assert events > 500
