# SPDX-License-Identifier: BSD-2-Clause
"""The files of the OS definition, and the configuration of the site."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganeti_cloud import config
from ganeti_cloud.errors import ConfigError, RequestError
from snf_image import parameters, provider, settings
from tests.unit.test_house import SNF_IMAGE, setup_argument

SCRIPTS = SNF_IMAGE / "scripts"
ROOT = SNF_IMAGE.parents[1]
OS_FOLDER = "usr/share/ganeti/os/snf-image"


def test_parameters_list_is_what_the_code_knows() -> None:
    text = (SCRIPTS / "parameters.list").read_text(encoding="utf-8")
    assert text == parameters.parameters_list()
    # Ganeti splits each line once and takes both halves.
    assert [len(line.split(None, 1)) for line in text.split("\n")[:-1]] == [2] * len(parameters.PARAMETERS)


def test_the_parameters_are_those_of_the_original_and_the_checksum() -> None:
    original = {
        *("img_id", "img_format", "img_passwd", "img_passwd_hash", "img_properties", "inst_properties"),
        *("img_personality", "auth_keys", "os_product_key", "os_answer_file", "cloud_userdata"),
    }
    assert {each.name for each in parameters.PARAMETERS} == original | {"img_checksum"}


def test_the_os_definition_has_the_files_that_ganeti_looks_for() -> None:
    assert (SCRIPTS / "ganeti_api_version").read_text() == "20\n"
    assert (SCRIPTS / "variants.list").read_text() == f"{settings.DEFAULT_VARIANT}\n"


def test_each_verb_is_an_executable_link() -> None:
    links = {path.name: os.readlink(path) for path in SCRIPTS.iterdir() if path.is_symlink()}
    assert links == dict.fromkeys(provider._VERBS, "snf-image-os")
    assert set(links) == {"create", "export", "import", "rename", "verify"}
    assert all(os.access(SCRIPTS / name, os.X_OK) for name in links)


def test_the_package_makes_the_same_links_and_leaves_the_variants_to_the_site() -> None:
    lines = (ROOT / "debian/ganeti-os-snf-image.links").read_text().splitlines()
    wanted = [f"{OS_FOLDER}/snf-image-os {OS_FOLDER}/{verb}" for verb in provider._VERBS]
    assert sorted(lines) == sorted([*wanted, f"etc/ganeti-cloud/snf-image/variants.list {OS_FOLDER}/variants.list"])
    installed = (ROOT / "debian/ganeti-os-snf-image.install").read_text().splitlines()
    assert "os_providers/snf-image/scripts/variants.list etc/ganeti-cloud/snf-image" in installed


def test_every_package_of_both_sides_is_installed() -> None:
    inits = [*(SNF_IMAGE / "snf_image").rglob("__init__.py"), *(SNF_IMAGE / "snf_image_helper").rglob("__init__.py")]
    packages = {".".join(init.parent.relative_to(SNF_IMAGE).parts) for init in inits}
    named = setup_argument("packages")
    assert isinstance(named, list)
    assert {name for name in named if name.startswith("snf_image")} == packages


def test_the_sample_is_what_the_program_prints() -> None:
    sample = SNF_IMAGE / "snf-image.toml.sample"
    assert sample.read_text(encoding="utf-8") == config.sample(settings.OPTIONS)


def test_no_secret_has_a_default_in_a_file() -> None:
    named = {option.key for option in settings.OPTIONS if option.section == "defaults"}
    assert named == {each.name for each in parameters.PARAMETERS} - parameters.SECRETS


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "variants").mkdir()
    return str(tmp_path / "snf-image.toml"), str(tmp_path / "variants")


def test_a_variant_is_laid_over_the_site(files: tuple[str, str]) -> None:
    site, folder = files
    Path(site).write_text(
        '[machine]\nmemory_mib = 1024\ncpu_limit_s = 60\n[defaults]\nimg_id = "null"\n', encoding="utf-8"
    )
    Path(folder, "big.toml").write_text("[machine]\nmemory_mib = 2048\n", encoding="utf-8")
    found = settings.load("big", site, folder)
    assert (found.machine.memory_mib, found.machine.cpu_limit_s, found.defaults) == (2048, 60, {"img_id": "null"})
    assert settings.load("", site, folder).machine.memory_mib == 1024
    assert settings.load("other", site, folder) == settings.load("", site, folder)


def test_a_wrong_variant_is_an_error_that_names_its_file(files: tuple[str, str]) -> None:
    site, folder = files
    Path(folder, "big.toml").write_text("[machine]\nmemory_mib = 1\nuser = 7\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"big\.toml: \[machine\] memory_mib: 1 is not .*; \[machine\] user: 7 is"):
        settings.load("big", site, folder)


@pytest.mark.parametrize("name", ["../snf-image", "a/b", ".", "x\n"])
def test_a_variant_names_no_other_file(files: tuple[str, str], name: str) -> None:
    with pytest.raises(RequestError, match="cannot be a variant"):
        settings.load(name, *files)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("images", "https_allow", '"http://example.org/"'),
        ("images", "https_allow", '"https://example.org"'),
        ("images", "https_allow", '"https:///x/"'),
        ("network", "name_servers", '"ns.example.org"'),
        ("network", "default_nic", '"static"'),
        ("network", "search", '"-x"'),
        ("network", "dhcp_tags", '"a;b"'),
        ("machine", "user", '"a b"'),
        ("machine", "accelerator", '"xen"'),
        ("tasks", "custom", "true"),
        ("windows", "time_zone", '"a\\nb"'),
        ("defaults", "img_id", "7"),
    ],
)
def test_what_the_site_cannot_mean_is_refused(section: str, key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[{section}\] {key}: "):
        config.parse(f"[{section}]\n{key} = {value}\n", "file", settings.OPTIONS, settings.MANUAL)
