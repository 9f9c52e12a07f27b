# SPDX-License-Identifier: BSD-2-Clause
"""What tags say: of one NIC and no other, and never what nobody can have meant."""

from __future__ import annotations

import pytest

from kvm_ifup.port import Rates
from tests.unit.kvm_ifup_nic import BRIDGED, PLAIN, ROUTED, port, refusal

UUID = BRIDGED["INTERFACE_UUID"]
REMOVE = "gnt-instance remove-tags"


@pytest.mark.parametrize("which", ["0", "eth0", UUID, UUID.upper()])
def test_a_profile_by_index_name_or_uuid(which: str) -> None:
    assert port(BRIDGED, TAGS=f"web synnefo:network:{which}:protected").profile == "protected"


def test_a_name_may_have_colons() -> None:
    assert port(BRIDGED, INTERFACE_NAME="a:0", TAGS="synnefo:network:a:0:limited").profile == "limited"
    assert port(BRIDGED, INTERFACE_NAME="a:0", TAGS="ganeti-cloud:rate:a:0:1M:2M").rates == Rates(1000, 2000)


@pytest.mark.parametrize(
    "tags",
    [
        "",
        "protected",
        "network:0:protected",
        "xsynnefo:network:0:protected",
        "synnefo:network:1:protected",
        "synnefo:network:00:protected",
        "synnefo:network:ETH0:protected",
        "synnefo:network:8a621ccb:protected",
    ],
)
def test_what_says_nothing_of_this_nic_leaves_the_default(tags: str) -> None:
    assert port(BRIDGED, TAGS=tags).profile == "unprotected"
    assert port(BRIDGED, TAGS=tags, site='[filter]\ndefault_profile = "limited"').profile == "limited"


def test_a_nic_without_name_or_uuid_is_not_meant_by_a_tag_that_names_none() -> None:
    assert refusal(PLAIN, INTERFACE_UUID="", TAGS="synnefo:network::protected") == (
        "tag 'synnefo:network::protected' is not synnefo:network:NIC:PROFILE"
    )


def test_the_beginning_is_the_sites() -> None:
    tags = "net/0:protected synnefo:network:0:limited"
    assert port(BRIDGED, TAGS="net:0:protected", site='[tags]\nprofile = "net:"').profile == "protected"
    assert port(BRIDGED, TAGS=tags, site='[tags]\nprofile = "net:"').profile == "unprotected"


def test_a_profile_of_the_site() -> None:
    assert port(BRIDGED, TAGS="synnefo:network:0:web", site='[profile.web]\nallow = ["tcp 80"]').profile == "web"


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ("synnefo:network:0:protectd", "tag 'synnefo:network:0:protectd': there is no firewall profile 'protectd'"),
        ("synnefo:network:0:Protected", "tag 'synnefo:network:0:Protected': there is no firewall profile 'Protected'"),
        # Of another NIC, but nobody knows what else is wrong with it.
        ("synnefo:network:7:protectd", "tag 'synnefo:network:7:protectd': there is no firewall profile 'protectd'"),
        ("synnefo:network:protected", "tag 'synnefo:network:protected' is not synnefo:network:NIC:PROFILE"),
        ("synnefo:network:0:", "tag 'synnefo:network:0:' is not synnefo:network:NIC:PROFILE"),
        ("synnefo:network:", "tag 'synnefo:network:' is not synnefo:network:NIC:PROFILE"),
        (
            "synnefo:network:0:protected synnefo:network:eth0:limited",
            "NIC 0: tags 'synnefo:network:0:protected' and 'synnefo:network:eth0:limited' contradict each other",
        ),
        (
            "ganeti-cloud:rate:0:10M",
            "tag 'ganeti-cloud:rate:0:10M' is not ganeti-cloud:rate:NIC:SENT:RECEIVED, each like 500k, 20M or 1G, or "
            "'-' for no limit",
        ),
        ("ganeti-cloud:macspoof:", "tag 'ganeti-cloud:macspoof:' is not ganeti-cloud:macspoof:NIC"),
        (
            "ganeti-cloud:rate:0:1M:1M ganeti-cloud:rate:eth0:1M:2M",
            "NIC 0: tags 'ganeti-cloud:rate:0:1M:1M' and 'ganeti-cloud:rate:eth0:1M:2M' contradict each other",
        ),
    ],
)
def test_a_wrong_tag_is_refused(tags: str, sentence: str) -> None:
    assert refusal(BRIDGED, TAGS=tags) == sentence


def test_the_same_said_twice_is_no_contradiction() -> None:
    tags = f"synnefo:network:0:limited synnefo:network:{UUID}:limited"
    assert port(BRIDGED, TAGS=tags).profile == "limited"


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("10M:500k", Rates(10_000, 500)),
        ("1G:-", Rates(1_000_000, None)),
        ("-:1k", Rates(None, 1)),
        ("-:-", Rates()),
    ],
)
def test_rates(text: str, rates: Rates) -> None:
    assert port(BRIDGED, TAGS=f"ganeti-cloud:rate:0:{text}").rates == rates
    assert port(BRIDGED, TAGS=f"ganeti-cloud:rate:1:{text}").rates == Rates()


@pytest.mark.parametrize(
    "text", ["10:10", "0k:1k", "1.5M:1M", "M:1M", "1000000k:1M", "1T:1M", ":", "-", "+1k:1k", "٣k:1k"]
)
def test_other_rates_are_refused(text: str) -> None:
    assert "is not ganeti-cloud:rate:NIC:SENT:RECEIVED" in refusal(BRIDGED, TAGS=f"ganeti-cloud:rate:0:{text}")


def test_a_guest_that_may_have_any_mac_may_have_any_address() -> None:
    free = port(BRIDGED, TAGS="ganeti-cloud:macspoof:eth0")
    assert (free.macspoof, free.sources) == (True, (None, None))
    assert free.binding is not None
    assert free.binding.macspoof
    other = port(BRIDGED, TAGS="ganeti-cloud:macspoof:1")
    assert (other.macspoof, other.sources.networks6) == (False, ())


def test_a_nic_without_network_may_have_any_mac() -> None:
    assert port(PLAIN, TAGS="ganeti-cloud:macspoof:2").macspoof


def test_no_mac_can_be_free_where_it_says_whose_a_frame_is() -> None:
    tag = "ganeti-cloud:macspoof:0"
    assert refusal(BRIDGED, TAGS=tag, NETWORK_TAGS="private-filtered") == (
        "NIC 0 may have any MAC by a tag, and is isolated by its MAC"
    )
    assert refusal(ROUTED, TAGS="ganeti-cloud:macspoof:1") == "NIC 1 may have any MAC by a tag, and is routed"


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        (
            "physical-vlan private-filtered",
            "network net1: tags 'private-filtered' and 'physical-vlan' contradict each other",
        ),
        (
            "ip-less-routed physical-vlan",
            "network net1: tags 'ip-less-routed' and 'physical-vlan' contradict each other",
        ),
        (
            "ganeti-cloud:mtu:67",
            "network net1: tag 'ganeti-cloud:mtu:67' does not end with a whole number of bytes from 68 to 65535",
        ),
        (
            "ganeti-cloud:mtu:",
            "network net1: tag 'ganeti-cloud:mtu:' does not end with a whole number of bytes from 68 to 65535",
        ),
        (
            "ganeti-cloud:mtu:1400 ganeti-cloud:mtu:1500",
            "network net1: tags 'ganeti-cloud:mtu:1400' and 'ganeti-cloud:mtu:1500' contradict each other",
        ),
    ],
)
def test_a_wrong_tag_of_a_network_is_refused(tags: str, sentence: str) -> None:
    assert refusal(BRIDGED, NETWORK_TAGS=tags) == sentence


def test_the_mtu_of_a_network() -> None:
    found = port(BRIDGED, NETWORK_TAGS="nfdhcpd ganeti-cloud:mtu:1400")
    assert found.binding is not None
    assert (found.mtu, found.binding.mtu) == (1400, 1400)


def test_an_mtu_too_small_for_ipv6_is_refused() -> None:
    changes = {"NETWORK_TAGS": "ganeti-cloud:mtu:1279", "NETWORK_SUBNET6": "fd00:77::/64"}
    assert refusal(BRIDGED, **changes) == "network net1: an MTU of 1279 is too small for IPv6"
    assert refusal(BRIDGED, **changes | {"NETWORK_TAGS": "ganeti-cloud:mtu:1280"}) == ""
