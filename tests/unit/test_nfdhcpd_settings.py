# SPDX-License-Identifier: BSD-2-Clause
"""The settings of the DHCP server."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from ganeti_cloud import config
from ganeti_cloud.errors import ConfigError
from nfdhcpd import settings

ROOT = Path(__file__).parents[2]
ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def machine_id(tmp_path: Path) -> str:
    path = tmp_path / "machine-id"
    path.write_text(f"{ID}\n", encoding="ascii")
    return str(path)


def load(text: str, folder: Path, machine_id: str) -> settings.Settings:
    path = folder / "nfdhcpd.toml"
    path.write_text(text, encoding="utf-8")
    return settings.load(str(path), machine_id)


def test_without_a_file_everything_has_a_value_that_works(machine_id: str) -> None:
    site = settings.load("/nonexistent", machine_id)
    assert site.dhcp4 == settings.Dhcp4Settings(
        enabled=True,
        queue=42,
        server_address=IPv4Address("192.0.2.1"),
        server_on_link=False,
        lease_time=604800,
        renewal_time=3600,
        nameservers=(),
        domain="",
        search_domains=(),
        ntp_servers=(),
    )
    assert (site.ipv6.rs_queue, site.ipv6.ns_queue, site.ipv6.dhcp6_queue) == (43, 44, 45)
    assert (site.limits.packets_per_second, site.limits.burst) == (100, 200)
    assert site.service == settings.ServiceSettings("/var/lib/nfdhcpd", "/run/nfdhcpd", "/run/nfdhcpd/http.sock")


def test_the_file_is_read(tmp_path: Path, machine_id: str) -> None:
    text = """
    [dhcp4]
    enabled = "no"
    nameservers = "192.0.2.53  198.51.100.53"
    search_domains = "example.com example.org."
    domain = "example.net."
    server_on_link = "yes"
    [ipv6]
    nameservers = "2001:db8::53"
    duid = "00:02:00:00:ab:11:01"
    mode = "dhcpv6"
    [service]
    listen = "[::1]:9547"
    """
    site = load(text, tmp_path, machine_id)
    assert (site.dhcp4.enabled, site.dhcp4.server_on_link) == (False, True)
    assert site.dhcp4.nameservers == (IPv4Address("192.0.2.53"), IPv4Address("198.51.100.53"))
    assert site.dhcp4.search_domains == ("example.com", "example.org")
    assert site.dhcp4.domain == "example.net"
    assert site.ipv6.nameservers == (IPv6Address("2001:db8::53"),)
    assert (site.ipv6.duid, site.ipv6.mode) == (bytes.fromhex("00020000ab1101"), "dhcpv6")
    assert site.service.listen == "[::1]:9547"


@pytest.mark.parametrize(
    ("section", "line", "problem"),
    [
        ("dhcp4", "enabled = true", "[dhcp4] enabled: True is not one of yes, no"),
        ("dhcp4", "queue = 65536", "[dhcp4] queue: 65536 is not the number of a queue, from 0 to 65535"),
        ("dhcp4", "queue = true", "[dhcp4] queue: True is not the number of a queue, from 0 to 65535"),
        ("dhcp4", "lease_time = 59", "[dhcp4] lease_time: 59 is not a whole number of seconds from 60 to 4294967294"),
        (
            "dhcp4",
            "nameservers = '192.0.2.1 2001:db8::1'",
            "[dhcp4] nameservers: '192.0.2.1 2001:db8::1' is not IPv4 addresses of machines, with spaces between them",
        ),
        (
            "dhcp4",
            "server_address = '0.0.0.0'",
            "[dhcp4] server_address: '0.0.0.0' is not the IPv4 address of a machine",
        ),
        ("dhcp4", "server_address = '::1'", "[dhcp4] server_address: '::1' is not the IPv4 address of a machine"),
        ("dhcp4", "domain = 'a..b'", "[dhcp4] domain: 'a..b' is not a domain"),
        (
            "dhcp4",
            f"search_domains = '{'a' * 64}'",
            f"[dhcp4] search_domains: '{'a' * 64}' is not domains, with spaces between them",
        ),
        (
            "ipv6",
            "nameservers = 'fe80::1%eth0'",
            "[ipv6] nameservers: 'fe80::1%eth0' is not IPv6 addresses of machines, with spaces between them",
        ),
        ("ipv6", "duid = '0001'", "[ipv6] duid: '0001' is not 3 to 130 bytes in hexadecimal"),
        ("ipv6", "duid = 'zz'", "[ipv6] duid: 'zz' is not 3 to 130 bytes in hexadecimal"),
        ("ipv6", "ra_period = 3", "[ipv6] ra_period: 3 is not a whole number of seconds from 4 to 1800"),
        ("ipv6", "mode = 'auto'", "[ipv6] mode: 'auto' is not one of slaac, slaac+dhcpv6, dhcpv6"),
        ("limits", "burst = 0", "[limits] burst: 0 is not a whole number of packets from 1 to 1000000"),
        (
            "service",
            "listen = '0.0.0.0:80'",
            "[service] listen: '0.0.0.0:80' is not an absolute path, 127.0.0.1:PORT or [::1]:PORT",
        ),
        (
            "service",
            "listen = '127.0.0.1:65536'",
            "[service] listen: '127.0.0.1:65536' is not an absolute path, 127.0.0.1:PORT or [::1]:PORT",
        ),
        ("service", "state = 'run'", "[service] state: 'run' is not an absolute path"),
        ("limits", "brust = 5", "[limits] brust: no such key"),
        ("dhcp4", "renewal_time = 604800", "[dhcp4] renewal_time: 604800 is not less than lease_time, 604800"),
        ("ipv6", "dhcp6_queue = 42", "[ipv6] dhcp6_queue: 42 is [dhcp4] queue already"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, machine_id: str, section: str, line: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(f"[{section}]\n{line}\n", tmp_path, machine_id)
    assert str(raised.value) == f"{tmp_path}/nfdhcpd.toml: {problem}"
    assert raised.value.hint == "correct the file; nfdhcpd.toml(5) describes its keys"


def test_all_problems_are_told_at_once(tmp_path: Path, machine_id: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load("[ipv6]\nrs_queue = 42\nns_queue = 42\nrenewal_time = 1000000\n", tmp_path, machine_id)
    assert str(raised.value).count(";") == 2


def test_the_duid_is_of_the_machine_and_does_not_tell_its_id(tmp_path: Path, machine_id: str) -> None:
    duid = settings.load("/nonexistent", machine_id).ipv6.duid
    assert duid == settings.load("/nonexistent", machine_id).ipv6.duid
    # RFC 6355: type 4, then a UUID, of the fourth version and the variant of RFC 4122.
    assert (len(duid), duid[:2], duid[8] >> 4, duid[10] >> 6) == (18, b"\0\4", 4, 2)
    assert bytes.fromhex(ID)[:4] not in duid
    Path(machine_id).write_text("f" * 32, encoding="ascii")
    assert settings.load("/nonexistent", machine_id).ipv6.duid != duid


@pytest.mark.parametrize("text", ["", "uninitialized\n", "0123\n"])
def test_without_a_machine_id_a_duid_has_to_be_set(tmp_path: Path, text: str) -> None:
    path = tmp_path / "machine-id"
    path.write_text(text, encoding="ascii")
    with pytest.raises(ConfigError, match="no DUID can be made of .*/machine-id") as raised:
        settings.load("/nonexistent", str(path))
    assert raised.value.hint == "set duid in section [ipv6]"
    assert load("[ipv6]\nduid = '000400'\n", tmp_path, str(path)).ipv6.duid == b"\0\4\0"
    assert load("[ipv6]\nenabled = 'no'\n", tmp_path, str(path)).ipv6.duid == b""


def test_the_sample_is_what_the_program_prints_and_can_be_used(tmp_path: Path, machine_id: str) -> None:
    sample = (ROOT / "nfdhcpd" / "nfdhcpd.toml.sample").read_text(encoding="utf-8")
    assert sample == config.sample(settings.OPTIONS)
    as_it_is = "\n".join(line.removeprefix("#") for line in sample.splitlines() if not line.startswith("# "))
    assert load(as_it_is, tmp_path, machine_id) == settings.load("/nonexistent", machine_id)
