# SPDX-License-Identifier: BSD-2-Clause
"""The rules of the tree, as far as a program can see whether they are kept."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ganeti_cloud
from archipelago import parameters, provider

ROOT = Path(__file__).resolve().parents[2]
ARCHIPELAGO = ROOT / "extstorage" / "archipelago"
SCRIPTS = ARCHIPELAGO / "scripts"

GROUND_FLOOR = ROOT / "ganeti_cloud"
# Each component's folder, and the package by which it would be imported.
SNF_IMAGE = ROOT / "os_providers" / "snf-image"
# snf_image and snf_image_helper are the two sides of one component.
NFDHCPD = ROOT / "nfdhcpd"
KVM_IFUP = ROOT / "kvm-ifup"
GANETI_HOOKS = ROOT / "ganeti_hooks"
COMPONENTS = {
    "archipelago": ARCHIPELAGO,
    "snf_image": SNF_IMAGE,
    "nfdhcpd": NFDHCPD,
    "kvm_ifup": KVM_IFUP,
    "ganeti_hooks": GANETI_HOOKS,
    "lab": ROOT / "lab",
}

GENERATED = ("__pycache__", "build", "dist", "results")

SPDX = "# SPDX-License-Identifier: BSD-2-Clause"


def files() -> Iterator[Path]:
    """Every file of the tree, without what tools leave in it."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in GENERATED]
        yield from (Path(folder, name) for name in names if not name.endswith(".pyc") and name != ".git")


def python_files(folder: Path = ROOT) -> list[Path]:
    """What is Python within *folder*, by its name or its first line."""
    found = []
    for path in files():
        if path.is_relative_to(folder) and not path.is_symlink():
            with path.open("rb") as stream:
                first = stream.readline()
            if path.suffix in (".py", ".pyi") or re.match(rb"#!.*\bpython", first):
                found.append(path)
    return sorted(found)


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that *tree* imports anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_the_walk_sees_the_tree() -> None:
    seen = {shown(path) for path in python_files()}
    assert {"setup.py", "ganeti_cloud/errors.py", "extstorage/archipelago/scripts/provider", "stubs/rbd.pyi"} <= seen
    assert len(seen) > 50


@pytest.mark.parametrize("path", python_files(GROUND_FLOOR), ids=shown)
def test_the_ground_floor_imports_no_component(path: Path) -> None:
    assert {name.partition(".")[0] for name in imported(parsed(path))} & set(COMPONENTS) == set()


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_imports_no_other(component: str) -> None:
    others = set(COMPONENTS) - {component}
    paths = python_files(COMPONENTS[component])
    assert paths
    wrong = {shown(path): name for path in paths for name in imported(parsed(path)) if name.partition(".")[0] in others}
    assert wrong == {}


def test_nothing_is_imported_relatively() -> None:
    """A relative import would be hidden from the two tests above."""
    relative = [
        shown(path)
        for path in python_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_no_module_is_longer_than_500_lines() -> None:
    long = {shown(path): lines for path in python_files() if (lines := len(path.read_text().splitlines())) > 500}
    assert long == {}


@pytest.mark.parametrize("path", python_files(), ids=shown)
def test_every_python_file_names_its_licence(path: Path) -> None:
    first, second, *_ = [*path.read_text(encoding="utf-8").splitlines(), "", ""]
    assert SPDX in (first, second if first.startswith("#!") else "")


@pytest.mark.parametrize("name", ["attached.py", "entry.py"])
def test_the_hot_path_imports_next_to_nothing(name: str) -> None:
    top_level = ast.Module(parsed(ARCHIPELAGO / name).body, type_ignores=[])
    for node in list(top_level.body):
        if isinstance(node, ast.FunctionDef):
            top_level.body.remove(node)
    allowed = {"os", "sys", "collections.abc", "collections.abc.Mapping", "archipelago", "archipelago.attached"}
    assert set(imported(top_level)) - allowed == set()


def test_parameters_list_is_what_the_code_knows() -> None:
    text = (SCRIPTS / "parameters.list").read_text(encoding="utf-8")
    assert text == parameters.parameters_list()
    # Ganeti splits each line once and takes both halves.
    assert [len(line.split(None, 1)) for line in text.split("\n")[:-1]] == [2] * len(parameters.DISK_PARAMETERS)


def test_each_verb_is_an_executable_link_to_provider() -> None:
    links = {path.name: os.readlink(path) for path in SCRIPTS.iterdir() if path.is_symlink()}
    assert links == dict.fromkeys(provider._VERBS, "provider")
    assert len(links) == 10
    assert all(os.access(SCRIPTS / name, os.X_OK) for name in links)


def test_the_package_makes_the_same_links() -> None:
    text = (ROOT / "debian/ganeti-extstorage-archipelago.links").read_text()
    folder = "usr/share/ganeti/extstorage/archipelago"
    assert sorted(text.splitlines()) == sorted(f"{folder}/provider {folder}/{verb}" for verb in provider._VERBS)


def test_the_version_is_the_same_everywhere() -> None:
    changelog = re.match(r"ganeti-cloud \(([^)]+)\) ", (ROOT / "debian/changelog").read_text())
    assert changelog is not None
    assert (changelog[1], setup_argument("version")) == (ganeti_cloud.__version__, ganeti_cloud.__version__)


@pytest.mark.parametrize("component", [ARCHIPELAGO, NFDHCPD, GANETI_HOOKS], ids=shown)
def test_every_package_of_a_component_is_installed(component: Path) -> None:
    inits = component.rglob("__init__.py")
    packages = {".".join(init.parent.relative_to(component.parent).parts) for init in inits}
    folders = {path.parent for path in component.rglob("*.py")}
    assert {path.parent for path in component.rglob("__init__.py")} == folders
    named = setup_argument("packages")
    assert isinstance(named, list)
    assert {name for name in named if name.partition(".")[0] == component.name} == packages


def setup_argument(name: str) -> object:
    """What setup.py hands to setup() as *name*."""
    for node in ast.walk(parsed(ROOT / "setup.py")):
        if isinstance(node, ast.keyword) and node.arg == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"setup.py says nothing of {name}")
