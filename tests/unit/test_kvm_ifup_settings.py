# SPDX-License-Identifier: BSD-2-Clause
"""The settings of the interface scripts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ganeti_cloud import config
from ganeti_cloud.errors import ConfigError, RequestError
from kvm_ifup import settings
from kvm_ifup.deciding import allowance
from kvm_ifup.profile import LIMITED, PROTECTED, UNPROTECTED
from tests.unit import manual
from tests.unit.test_man_pages import _default

ROOT = Path(__file__).parents[2]
PAGE = "kvm-ifup.toml.5"
LIST = f"a list of texts, each {allowance.FORM}"


def load(text: str, folder: Path) -> settings.Settings:
    path = folder / "kvm-ifup.toml"
    path.write_text(text, encoding="utf-8")
    return settings.load(str(path))


def test_without_a_file_everything_has_a_value_that_works() -> None:
    assert settings.load("/nonexistent") == settings.Settings(
        default_profile="unprotected",
        profiles={"protected": PROTECTED, "limited": LIMITED, "unprotected": UNPROTECTED},
        link_local="eui64",
        unknown_address="network",
        mac_mask=bytes.fromhex("fffff0000000"),
        ethertypes=(),
        tap_mac=bytes.fromhex("0267616e6574"),
        rule_priority=1000,
        tags=settings.Tags(
            profile="synnefo:network:",
            rate="ganeti-cloud:rate:",
            macspoof="ganeti-cloud:macspoof:",
            mtu="ganeti-cloud:mtu:",
            routed="ip-less-routed",
            isolated="private-filtered",
            vlan="physical-vlan",
            nfdhcpd="nfdhcpd",
            no_router="ganeti-cloud:no-router",
        ),
        bindings="/var/lib/nfdhcpd",
    )


def test_the_file_is_read(tmp_path: Path) -> None:
    site = load(
        """
        [filter]
        default_profile = "web"
        mac_mask = "FF:FF:FF:00:00:00"
        ethertypes = "0x8863  0x88B5"
        [routed]
        tap_mac = "02-00-00-00-00-01"
        [tags]
        vlan = "vlan"
        [profile.web]
        allow = ["tcp 80"]
        """,
        tmp_path,
    )
    assert (site.default_profile, site.profile("web").is_open) == ("web", False)
    assert (site.mac_mask.hex(), site.ethertypes) == ("ffffff000000", (0x8863, 0x88B5))
    assert (site.tap_mac.hex(), site.tags.vlan) == ("020000000001", "vlan")


@pytest.mark.parametrize(
    ("section", "line", "problem"),
    [
        ("filter", "default_profile = 'web'", "[filter] default_profile: there is no profile 'web'"),
        ("filter", "default_profile = ''", "[filter] default_profile: '' is not the name of a profile"),
        ("filter", "link_local = 'none'", "[filter] link_local: 'none' is not one of eui64, any"),
        ("filter", "unknown_address = true", "[filter] unknown_address: True is not one of network, none, any"),
        *(
            (
                "filter",
                f"mac_mask = {raw!r}",
                f"[filter] mac_mask: {raw!r} is not a mask like ff:ff:f0:00:00:00, with 1 to 24 ones before the zeros",
            )
            for raw in ("00:00:00:00:00:00", "ff:ff:0f:00:00:00", "ff:ff:ff:80:00:00", "ff:ff:f0:00:00", "fffff0000000")
        ),
        *(
            (
                "filter",
                f"ethertypes = {raw!r}",
                f"[filter] ethertypes: {raw!r} is not types like 0x8863, of 0x and four digits, with spaces between "
                "them; IP, ARP and VLANs need none",
            )
            for raw in ("8863", "0x05ff", "0x0800", "0x86dd", "0x8100", "0x88634", "0x-863", "0x 863", "0xzzzz")
        ),
        (
            "routed",
            "tap_mac = '03:00:00:00:00:00'",
            "[routed] tap_mac: '03:00:00:00:00:00' is not the MAC of one machine",
        ),
        ("routed", "tap_mac = 7", "[routed] tap_mac: 7 is not a MAC like 52:54:00:12:34:56"),
        ("routed", "rule_priority = 0", "[routed] rule_priority: 0 is not a whole number of steps from 1 to 32765"),
        ("tags", "profile = 'net'", "[tags] profile: 'net' is not the beginning of a tag, with a ':' at its end"),
        (
            "tags",
            "routed = 'a b'",
            "[tags] routed: 'a b' is not a tag of letters, digits and _.+*/:@-, with a letter or digit first",
        ),
        ("tags", "routed = 'nfdhcpd'", "[tags] routed and nfdhcpd are the same"),
        ("tags", "rate = 'synnefo:network:rate:'", "[tags] rate begins as profile does"),
        ("service", "bindings = 'nfdhcpd'", "[service] bindings: 'nfdhcpd' is not an absolute path"),
        ("profile.limited", "allow = []", "[profile.limited]: there is a built-in profile of this name"),
        (
            "profile.Web",
            "allow = []",
            "[profile.Web]: names have 1 to 32 lower-case letters, digits, '_' and '-', with a letter first",
        ),
        ("profile", "allow = []", "[profile] allow: no such key"),
        ("profile.web", "deny = []", "[profile.web] deny: no such key"),
        ("profile.web", "allow = 'tcp'", f"[profile.web] allow: 'tcp' is not {LIST}"),
        ("profile.web", "allow = [80]", f"[profile.web] allow: [80] is not {LIST}"),
        (
            "profile.web",
            "allow = ['tcp', 'tcp http']",
            "[profile.web] allow: ['tcp', 'tcp http'] is not a list of allowances: 'tcp http' is not "
            f"{allowance.FORM}: ports are numbers from 1 to 65535",
        ),
    ],
)
def test_a_wrong_value_is_named(section: str, line: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(f"[{section}]\n{line}\n", tmp_path)
    assert str(raised.value) == f"{tmp_path}/kvm-ifup.toml: {problem}"
    assert raised.value.hint == "correct the file; kvm-ifup.toml(5) describes its keys"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load("[filter]\nlinklocal = 1\nmac_mask = 99\n[profile.web]\nallow = 1\n[nope]\n", tmp_path)
    assert str(raised.value).count(";") == 3


def test_a_profile_that_is_not_there_is_not_open() -> None:
    with pytest.raises(RequestError, match="^there is no firewall profile 'shut'$") as raised:
        settings.load("/nonexistent").profile("shut")
    assert raised.value.hint.startswith("the profiles are protected, limited, unprotected;")


def test_the_sample_is_what_the_code_knows() -> None:
    sample = (ROOT / "kvm-ifup" / "kvm-ifup.toml.sample").read_text(encoding="utf-8")
    assert sample == config.sample(settings.OPTIONS)


def test_the_sample_means_the_defaults(tmp_path: Path) -> None:
    text = config.sample(settings.OPTIONS)
    assert load(text, tmp_path) == settings.load("/nonexistent")
    switched_on = re.sub("^#(?! )", "", text, flags=re.MULTILINE).replace("[profile.NAME]", "[profile.shut]")
    site = load(switched_on, tmp_path)
    assert site.profile("shut").allowances == ()
    assert site._replace(profiles={}) == settings.load("/nonexistent")._replace(profiles={})


def test_every_key_is_described_with_its_default_and_no_other() -> None:
    written = [
        f"{heading.replace('NAME', '*')} {tag}"
        for heading, section in manual.read(PAGE).items()
        if heading.startswith("[")
        for tag in section.tags
        if " = " in tag
    ]
    shown = config.sample(settings.OPTIONS).replace("NAME", "*")
    assert written == [f"[{each.section}] {each.key} = {_default(shown, each)}" for each in settings.OPTIONS]


@pytest.mark.parametrize("option", settings.OPTIONS, ids=lambda option: f"{option.section}.{option.key}")
def test_bounds_that_are_described_are_those_that_hold(option: config.Option) -> None:
    text = manual.read(PAGE)[f"[{option.section.replace('*', 'NAME')}]"].text
    entry = text.partition(f"\n{option.key} = ")[2].partition("\n")[2].partition(" = ")[0]
    found = re.search(r"\b(\d+) to (\d+)\.$", entry, re.MULTILINE)
    assert (found is not None) == (isinstance(option.default, int))
    if found is None:
        return
    low, high = int(found[1]), int(found[2])
    assert [option.check(low), option.check(high)] == [low, high]
    for outside in (low - 1, high + 1):
        with pytest.raises(ValueError, match="from"):
            option.check(outside)


def test_the_example_of_the_page_is_a_file() -> None:
    lines = manual.read(PAGE)["EXAMPLES"].lines
    text = "\n".join(lines[lines.index("[filter]") : lines.index("]") + 1])
    site = settings.settings_of(config.parse(text, "x.toml", settings.OPTIONS, "x(5)"), "x.toml")
    assert (site.default_profile, len(site.profile("web").allowances)) == ("protected", 3)


PACKAGE = ROOT / "kvm-ifup" / "kvm_ifup"
SENTENCES = dict(
    manual.errors([*(PACKAGE / "deciding").glob("*.py"), PACKAGE / "settings.py"], {*manual.ERRORS, "_wrong"})
)


@pytest.mark.parametrize("where", SENTENCES)
def test_every_refusal_has_an_entry_with_its_remedy(where: str) -> None:
    tags = manual.read(PAGE)["ERRORS"].tags
    assert [tag for tag in tags if re.fullmatch(SENTENCES[where], tag)] != [], SENTENCES[where]


def test_no_refusal_is_described_that_there_is_not() -> None:
    tags = [tag for tag in manual.read(PAGE)["ERRORS"].tags if not tag.startswith("FILE:")]
    assert len(SENTENCES) >= 24
    assert [tag for tag in tags if not any(re.fullmatch(each, tag) for each in SENTENCES.values())] == []
