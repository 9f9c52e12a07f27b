# SPDX-License-Identifier: BSD-2-Clause
"""What a binding file says, and what is wrong with those that say nothing."""

from __future__ import annotations

import itertools
import random
import re
import string
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest

from ganeti_cloud.binding import _KEYS, _MADE, FOLDER, Binding, BindingError, Route, decode, encode
from ganeti_cloud.errors import report
from ganeti_cloud.netvalues import is_interface_name
from tests.unit import manual

# As the interface scripts of Synnefo's cloud wrote it, for an instance on a bridge.
ORIGINAL = """\
INDEV=br100
IP=192.0.2.10
MAC=AA:00:00:12:34:5B
HOSTNAME=web1.example.com
TAGS=nfdhcpd public
GATEWAY=192.0.2.1
SUBNET=192.0.2.0/24
GATEWAY6=2001:db8::1
SUBNET6=2001:db8::/64
EUI64=2001:db8::a800:ff:fe12:345b
"""

LEAST = "MAC=52:54:00:12:34:56\nHOSTNAME=web1\n"
LEAST_BINDING = Binding(tap="tap0", mac=bytes.fromhex("525400123456"), hostname="web1", indev="tap0")


def said(lines: str) -> Binding:
    return decode(LEAST + lines, "tap0")


def error(text: str) -> str:
    with pytest.raises(BindingError) as caught:
        decode(text, "tap0")
    return str(caught.value)


def test_the_keys_of_the_original() -> None:
    assert decode(ORIGINAL, "tap7") == Binding(
        tap="tap7",
        mac=bytes.fromhex("aa000012345b"),
        hostname="web1.example.com",
        indev="br100",
        ip=IPv4Address("192.0.2.10"),
        subnet=IPv4Network("192.0.2.0/24"),
        gateway=IPv4Address("192.0.2.1"),
        subnet6=IPv6Network("2001:db8::/64"),
        gateway6=IPv6Address("2001:db8::1"),
        tags=("nfdhcpd", "public"),
    )


def test_the_least_that_a_file_can_say() -> None:
    assert decode(LEAST, "tap0") == LEAST_BINDING


def test_what_is_empty_is_not_there() -> None:
    """The original's scripts write all their keys, and what a NIC does not have is empty."""
    keys = "IP SUBNET GATEWAY SUBNET6 GATEWAY6 EUI64 TAGS PRIVATE MACSPOOF MTU INDEV NAMESERVERS DOMAIN SEARCH_DOMAINS"
    more = "NTP_SERVERS ROUTES LEASE_TIME RENEWAL_TIME IP6 OPTION_66 OPTION_6"
    assert said("".join(f"{key}=\n" for key in f"{keys} {more}".split())) == LEAST_BINDING


@pytest.mark.parametrize(
    "noise",
    ["\n\n", "# MTU=1\n", "  # a comment\n", "OWNER=somebody\n", "SOMETHING=with = signs\n", "option_66=zz\n", " \t\n"],
)
def test_what_means_nothing_is_passed_over(noise: str) -> None:
    assert decode(noise + LEAST + noise, "tap0") == LEAST_BINDING


def test_spaces_and_ends_of_lines_of_other_systems_do_no_harm() -> None:
    assert decode(" MAC = 52-54-00-12-34-56 \r\n\tHOSTNAME=web1\r\n", "tap0") == LEAST_BINDING


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("IP=192.0.2.10", "ip", IPv4Address("192.0.2.10")),
        ("IP6=2001:DB8::10", "ip6", IPv6Address("2001:db8::10")),
        ("HOSTNAME2=x\nDOMAIN=example.com.", "domain", "example.com"),
        ("GATEWAY6=fe80::1", "gateway6", IPv6Address("fe80::1")),
        ("PRIVATE=yes", "private", True),
        ("PRIVATE=anything", "private", True),
        ("PRIVATE=no", "private", False),
        ("MACSPOOF=1", "macspoof", True),
        ("MACSPOOF=False", "macspoof", False),
        ("MTU=68", "mtu", 68),
        ("MTU=65535", "mtu", 65535),
        (
            "NAMESERVERS=192.0.2.53, 2001:db8::53 ,192.0.2.54",
            "nameservers",
            (IPv4Address("192.0.2.53"), IPv6Address("2001:db8::53"), IPv4Address("192.0.2.54")),
        ),
        ("SEARCH_DOMAINS=example.com  a_b.example.net", "search_domains", ("example.com", "a_b.example.net")),
        ("NTP_SERVERS=192.0.2.123", "ntp_servers", (IPv4Address("192.0.2.123"),)),
        (
            "ROUTES=10.0.0.0/8,192.0.2.1 198.51.100.0/24,0.0.0.0",
            "routes",
            (
                Route(IPv4Network("10.0.0.0/8"), IPv4Address("192.0.2.1")),
                Route(IPv4Network("198.51.100.0/24"), IPv4Address("0.0.0.0")),
            ),
        ),
        ("LEASE_TIME=4294967295", "lease_time", 0xFFFFFFFF),
        ("RENEWAL_TIME=1", "renewal_time", 1),
        ("BOOT_SERVER=192.0.2.69", "boot_server", IPv4Address("192.0.2.69")),
        ("BOOT_FILE= a b/c=d ", "boot_file", "a b/c=d"),
        (f"BOOT_FILE={'f' * 255}", "boot_file", "f" * 255),
        ("OPTION_67=7078\nOPTION_43=01:02:0a", "options", ((43, b"\1\2\n"), (67, b"px"))),
        ("TAGS=  b  a ", "tags", ("b", "a")),
    ],
)
def test_each_key(line: str, field: str, value: object) -> None:
    binding = said(line)
    assert getattr(binding, field) == value
    assert binding._replace(**{field: getattr(LEAST_BINDING, field)}) == LEAST_BINDING


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nothing", "'nothing' is not KEY=value"),
        ("\0\33[2J", r"'\x00\x1b[2J' is not KEY=value"),
        ("IP=192.0.2", "IP: '192.0.2' is not an address"),
        ("IP=192.0.2.010", "IP: '192.0.2.010' is not an address"),
        ("IP=2001:db8::1", "IP: '2001:db8::1' is not an IPv4 address"),
        ("IP=0.0.0.0", "IP: '0.0.0.0' is not the address of a machine"),
        ("IP=224.0.0.1", "IP: '224.0.0.1' is not the address of a machine"),
        ("IP=127.0.0.1", "IP: '127.0.0.1' is not the address of a machine"),
        ("IP=255.255.255.255", "IP: '255.255.255.255' is not the address of a machine"),
        ("IP=192.0.2.1\nMTU=1400\nIP=192.0.2.1", "IP is said on line 3 already"),
        ("IP6=192.0.2.1", "IP6: '192.0.2.1' is not an IPv6 address"),
        ("GATEWAY6=fe80::1%eth0", "GATEWAY6: 'fe80::1%eth0' is not the address of a machine"),
        ("SUBNET=192.0.2.10/24", "SUBNET: '192.0.2.10/24' is not an IPv4 network like 192.0.2.0/24, with zeros behind"),
        ("SUBNET=192.0.2.0/33", "SUBNET: '192.0.2.0/33' is not an IPv4 network like"),
        ("SUBNET6=2001:db8::1/64", "SUBNET6: '2001:db8::1/64' is not an IPv6 network like 2001:db8::/64, with zeros"),
        ("SUBNET6=fe80::%1/64", "SUBNET6: 'fe80::%1/64' is not an IPv6 network like"),
        ("INDEV=br/0", "INDEV: 'br/0' is not the name of an interface"),
        ("INDEV=abcdefghijklmnop", "INDEV: 'abcdefghijklmnop' is not the name of an interface"),
        ("MTU=67", "MTU: '67' is not a whole number of bytes from 68 to 65535"),
        ("MTU=65536", "MTU: '65536' is not a whole number of bytes from 68 to 65535"),
        ("MTU=٦٨٠", "MTU: '٦٨٠' is not a whole number of bytes from 68 to 65535"),
        ("MTU=²", "MTU: '²' is not a whole number of bytes from 68 to 65535"),
        ("MTU=+1400", "MTU: '+1400' is not a whole number of bytes from 68 to 65535"),
        ("MTU=" + "1" * 5000, f"MTU: '{'1' * 60}'… is not a whole number of bytes from 68 to 65535"),
        ("BOOT_SERVER=0.0.0.0", "BOOT_SERVER: '0.0.0.0' is not the address of a machine"),
        ("BOOT_FILE=caf\u00e9", "BOOT_FILE: 'caf\u00e9' is not at most 255 printable characters of ASCII"),
        ("BOOT_FILE=a\tb", "BOOT_FILE: 'a\\tb' is not at most 255 printable characters of ASCII"),
        (
            f"BOOT_FILE={'f' * 256}",
            f"BOOT_FILE: '{'f' * 60}'… is not at most 255 printable characters of ASCII",
        ),
        ("LEASE_TIME=0", "LEASE_TIME: '0' is not a whole number of seconds from 1 to 4294967295"),
        ("LEASE_TIME=60\nRENEWAL_TIME=60", "RENEWAL_TIME: 60 is not less than LEASE_TIME, 60"),
        (
            "DOMAIN=-a.example",
            "DOMAIN: '-a.example' is not a name of labels of 1 to 63 letters, digits, '-' and '_', at",
        ),
        ("DOMAIN=a..example", "DOMAIN: 'a..example' is not a name of labels"),
        ("DOMAIN=" + "a" * 64, f"DOMAIN: '{'a' * 60}'… is not a name of labels"),
        ("DOMAIN=" + "a." * 128, "DOMAIN: 'a.a."),
        ("DOMAIN=bücher.example", "DOMAIN: 'bücher.example' is not a name of labels"),
        ("SEARCH_DOMAINS=example.com a b/", "SEARCH_DOMAINS: 'example.com a b/' is not a name of labels"),
        ("NAMESERVERS=192.0.2.53 ns1", "NAMESERVERS: '192.0.2.53 ns1' is not an address"),
        ("ROUTES=10.0.0.0/8", "ROUTES: '10.0.0.0/8' is not routes like 198.51.100.0/24,192.0.2.1 with spaces between"),
        ("ROUTES=10.0.0.1/8,192.0.2.1", "ROUTES: '10.0.0.1/8,192.0.2.1' is not an IPv4 network like"),
        ("ROUTES=10.0.0.0/8,2001:db8::1", "ROUTES: '10.0.0.0/8,2001:db8::1' is not an IPv4 address"),
        ("OPTION_0=00", "'OPTION_0' is not one of OPTION_1 to OPTION_254"),
        ("OPTION_255=00", "'OPTION_255' is not one of OPTION_1 to OPTION_254"),
        ("OPTION_066=00", "'OPTION_066' is not one of OPTION_1 to OPTION_254"),
        ("OPTION_\0=00", r"'OPTION_\x00' is not one of OPTION_1 to OPTION_254"),
        ("OPTION_66=7", "OPTION_66: '7' is not 1 to 255 bytes, each two hexadecimal digits"),
        ("OPTION_66=" + "00" * 256, f"OPTION_66: '{'0' * 60}'… is not 1 to 255 bytes"),
        ("OPTION_66=00\nMTU=68\nOPTION_66=00", "OPTION_66 is said on line 3 already"),
        ("OPTION_6=c0000235", "OPTION_6 is made by the server itself, from NAMESERVERS"),
        ("OPTION_53=05", "OPTION_53 is made by the server itself"),
        ("SUBNET=192.0.2.0/24\nMTU=68\nIP=198.51.100.1", "IP: 198.51.100.1 is not in SUBNET, 192.0.2.0/24"),
        ("SUBNET6=2001:db8::/64\nMTU=68\nIP6=2001:db8:1::1", "IP6: 2001:db8:1::1 is not in SUBNET6, 2001:db8::/64"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(line: str, message: str) -> None:
    """The last of the lines is the wrong one."""
    number = 2 + len(line.split("\n"))
    assert error(f"{LEAST}{line}\nMACSPOOF=yes\n").startswith(f"binding tap0, line {number}: {message}")


@pytest.mark.parametrize("number", [1, 3, 6, 12, 15, 26, 28, 42, *range(50, 56), 57, 58, 59, 61, 80, 82, 119, 121])
def test_options_that_the_server_makes_cannot_be_set(number: int) -> None:
    assert "is made by the server itself" in error(f"{LEAST}OPTION_{number}=00\n")


@pytest.mark.parametrize(
    "mac",
    ["5254.0012.3456", "52:54:00:12:34", "52:54:00:12:34:56:78", "52:54:00:12:34:5g", "00:00:00:00:00:00"]
    + ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "5:2:0:0:0:0"],
)
def test_a_mac_is_that_of_one_machine(mac: str) -> None:
    assert error(f"HOSTNAME=web1\nMAC={mac}\n").startswith(f"binding tap0, line 2: MAC: '{mac}' is not ")


@pytest.mark.parametrize(("text", "key"), [("HOSTNAME=web1\nMAC=\n", "MAC"), ("MAC=52:54:00:12:34:56", "HOSTNAME")])
def test_a_guest_has_a_mac_and_a_name(text: str, key: str) -> None:
    assert error(text) == f"binding tap0: there is no {key}"


def test_the_error_says_where_to_read_on() -> None:
    with pytest.raises(BindingError) as caught:
        decode("MTU=1", "tap0")
    assert report(caught.value) == (
        "error: binding tap0, line 1: MTU: '1' is not a whole number of bytes from 68 to 65535\n"
        "hint: correct the file; nfdhcpd-binding(5) describes its keys\n"
    )


@pytest.mark.parametrize(
    "lines",
    [
        "SUBNET=192.0.2.0/24\nIP=192.0.2.255",
        "SUBNET=192.0.2.1/32\nIP=198.51.100.1\nGATEWAY=192.0.2.1",
        "IP=198.51.100.1\nGATEWAY=169.254.0.1",
        "SUBNET6=2001:db8::1/128\nIP6=2001:db8:1::1",
        "SUBNET=192.0.2.0/24\nGATEWAY=198.51.100.1\nIP=192.0.2.7",
    ],
)
def test_addresses_that_go_together(lines: str) -> None:
    """A gateway may be anywhere: a routed tap has its own, which is not in the guest's network."""
    assert said(lines).mac == LEAST_BINDING.mac


def test_what_is_written() -> None:
    binding = decode(ORIGINAL + "PRIVATE=1\nMTU=1400\nROUTES=10.0.0.0/8,192.0.2.1\nOPTION_66=6162\n", "tap0")
    assert encode(binding) == (
        "IP=192.0.2.10\n"
        "MAC=aa:00:00:12:34:5b\n"
        "HOSTNAME=web1.example.com\n"
        "INDEV=br100\n"
        "SUBNET=192.0.2.0/24\n"
        "GATEWAY=192.0.2.1\n"
        "SUBNET6=2001:db8::/64\n"
        "GATEWAY6=2001:db8::1\n"
        "TAGS=nfdhcpd public\n"
        "PRIVATE=yes\n"
        "MTU=1400\n"
        "ROUTES=10.0.0.0/8,192.0.2.1\n"
        "OPTION_66=6162\n"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hostname", "web1\nMACSPOOF=yes"),
        ("hostname", ""),
        ("tags", ("two words",)),
        ("mtu", 0),
        ("lease_time", 0),
        ("mac", b""),
        ("indev", "br 0"),
        ("options", ((53, b"\5"),)),
        ("options", ((67, b"b"), (66, b"a"))),
        ("options", ((66, b""),)),
        ("ip", IPv4Address("0.0.0.0")),
    ],
)
def test_what_would_be_read_otherwise_is_not_written(field: str, value: Any) -> None:
    with pytest.raises(BindingError, match="^binding tap0"):
        encode(LEAST_BINDING._replace(**{field: value}))


def random_binding(dice: random.Random) -> Binding:
    """A binding of any kind that a file can say."""

    def name() -> str:
        inner = string.ascii_letters + string.digits + "-_"
        labels = [
            dice.choice(string.ascii_letters) + "".join(dice.choices(inner, k=dice.randint(0, 61))) + dice.choice("a9_")
            for _ in range(dice.randint(1, 3))
        ]
        return ".".join(labels)

    def ip4() -> IPv4Address:
        return IPv4Address(dice.randint(0x01000000, 0x7EFFFFFF))

    def ip6() -> IPv6Address:
        return IPv6Address(dice.getrandbits(128) >> 3 | 1 << 125)

    def any_of(*made: object) -> object:
        return dice.choice(made)

    subnet = IPv4Network((ip4(), dice.randint(8, 32)), strict=False)
    subnet6 = IPv6Network((ip6(), dice.randint(16, 128)), strict=False)
    lease = dice.randint(2, 0xFFFFFFFF)
    numbers = sorted(dice.sample([2, 43, 60, 66, 67, 108, 150, 252, 254], dice.randint(0, 4)))
    fields: dict[str, Any] = {
        "ip": any_of(None, subnet[dice.randrange(min(subnet.num_addresses, 1000))]),
        "subnet": subnet,
        "gateway": any_of(None, ip4()),
        "ip6": any_of(None, subnet6[dice.randrange(min(subnet6.num_addresses, 1000))]),
        "subnet6": subnet6,
        "gateway6": any_of(None, ip6(), IPv6Address("fe80::1")),
        "private": any_of(False, True),
        "macspoof": any_of(False, True),
        "mtu": any_of(None, dice.randint(68, 65535)),
        "nameservers": tuple(any_of(ip4(), ip6()) for _ in range(dice.randint(0, 4))),
        "domain": any_of("", name()),
        "search_domains": tuple(name() for _ in range(dice.randint(0, 3))),
        "ntp_servers": tuple(any_of(ip4(), ip6()) for _ in range(dice.randint(0, 2))),
        "routes": tuple(
            Route(IPv4Network((ip4(), dice.randint(0, 32)), strict=False), dice.choice((ip4(), IPv4Address(0))))
            for _ in range(dice.randint(0, 3))
        ),
        "lease_time": any_of(None, lease),
        "renewal_time": any_of(None, dice.randint(1, lease - 1)),
        "options": tuple((number, dice.randbytes(dice.randint(1, 255))) for number in numbers),
        "tags": tuple(name() for _ in range(dice.randint(0, 3))),
    }
    mac = bytes([dice.randrange(0, 256, 2)]) + dice.randbytes(4) + b"\1"
    return Binding(tap="tap0", mac=mac, hostname=name(), indev=dice.choice(["tap0", "br0", "a-b.100"]))._replace(
        **fields
    )


def test_what_was_written_is_read_as_it_was() -> None:
    dice = random.Random(3442)
    for _ in range(150):
        binding = random_binding(dice)
        text = encode(binding)
        assert decode(text, "tap0") == binding
        assert encode(decode(text, "tap0")) == text


def test_nothing_that_a_file_says_raises_another_error() -> None:
    """Lines of every kind, damaged and mixed."""
    dice = random.Random(2131)
    for _ in range(600):
        lines = encode(random_binding(dice)).split("\n")
        dice.shuffle(lines)
        characters = list("\n".join(lines[: dice.randint(1, len(lines))]))
        for _ in range(dice.randint(0, 8)):
            place = dice.randrange(len(characters) + 1)
            characters[place : place + dice.randint(0, 2)] = chr(
                dice.choice((dice.randrange(128), dice.randrange(0xD800)))
            )
        try:
            decode("".join(characters), "tap0")
        except BindingError as err:
            assert len(report(err).splitlines()) == 2


def test_bytes_of_any_kind_raise_no_other_error() -> None:
    dice = random.Random(8415)
    for _ in range(2000):
        text = dice.randbytes(dice.randint(0, 300)).decode("latin-1")
        with pytest.raises(BindingError):
            decode(text, "tap0")


def test_a_large_file_takes_no_time_to_speak_of() -> None:
    """The longest that is read, all of it in one name."""
    assert error("HOSTNAME=" + "a." * 32000).startswith("binding tap0, line 1: HOSTNAME: 'a.a.")


@pytest.mark.parametrize("name", ["tap0", "vnet_1", "eth0.100", "a" * 15, "tap-x", "0", "tap0~"])
def test_names_of_interfaces(name: str) -> None:
    assert is_interface_name(name)


@pytest.mark.parametrize("name", ["", "a" * 16, ".", "..", ".tap0", "a/b", "a b", "a\n", "a:1", "täp", "a\0", "a\x7f"])
def test_names_of_no_interface(name: str) -> None:
    assert not is_interface_name(name)


def test_the_manual_page_lists_every_key() -> None:
    tags = [tag for section in manual.read("nfdhcpd-binding.5").values() for tag in section.tags]
    assert sorted(tags) == sorted([*_KEYS, "EUI64", "OPTION_number"])


def test_the_manual_page_lists_the_options_that_cannot_be_set() -> None:
    text = manual.read("nfdhcpd-binding.5")["Both"].text
    (listed,) = re.findall(r"are refused: ([0-9, toand]+)\.", text)
    numbers: set[int] = set()
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", listed):
        numbers |= set(range(int(first), int(last or first) + 1))
    assert numbers == set(_MADE)


def test_the_examples_of_the_manual_page_are_bindings() -> None:
    lines = manual.read("nfdhcpd-binding.5")["EXAMPLES"].lines
    starts = [number for number, line in enumerate(lines) if line.startswith(f"# {FOLDER}/")]
    assert len(starts) == 2
    for start in starts:
        tap = lines[start].rpartition("/")[2]
        said = itertools.takewhile(lambda line: "=" in line, lines[start + 1 :])
        assert decode("\n".join(said), tap).tap == tap
