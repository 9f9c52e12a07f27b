# SPDX-License-Identifier: BSD-2-Clause
"""What looks for secrets and helper machines during deployments finds them where they are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping

import pytest

from tests.lab.snf_support import Watch, parameters, personality

SECRET = "canary-0123456789"


def seen(*words: str, env: Mapping[str, str] | None = None, within: str = "") -> Watch:
    """What a look at the processes finds while one runs that has *words* in its command line."""
    watch = Watch(SECRET.encode(), within)
    argv = ["/bin/sh", "-c", "echo ready; read never", *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(env or {})) as running:
        assert running.stdout is not None
        running.stdout.readline()
        watch.look()
        running.kill()
    watch.helpers = {each for each in watch.helpers if each.startswith("/bin/sh")}  # of real ones there may be more
    return watch


def test_a_secret_in_a_command_line_is_seen() -> None:
    [leak] = seen("program", f"--password={SECRET}").leaks
    assert leak.endswith(f"program --password={SECRET} ")


def test_a_secret_in_an_environment_is_seen() -> None:
    [leak] = seen("program", env={"PASSWORD": SECRET}).leaks
    assert leak.startswith("environment of /bin/sh")


@pytest.mark.parametrize("words", [("gnt-instance", SECRET), ("/usr/share/ganeti/os/snf-image/create",)])
def test_what_was_typed_and_what_ganeti_gives_its_scripts_is_no_leak(words: tuple[str, ...]) -> None:
    assert seen(*words, env={"OSP_IMG_PASSWD": SECRET}).leaks == set()


def test_a_script_has_no_secret_in_its_command_line() -> None:
    assert len(seen("/usr/share/ganeti/os/snf-image/create", SECRET).leaks) == 1


def test_a_helper_machine_is_seen() -> None:
    words = ("qemu-system-x86_64", "-kernel", "/usr/lib/ganeti-cloud/snf-image-helper/vmlinuz")
    assert len(seen(*words).helpers) == 1
    assert seen("qemu-system-x86_64", "-kernel", "vmlinuz").helpers == set()


def test_what_other_labs_do_is_not_looked_at() -> None:
    assert seen("program", SECRET, within="/ganeti-cloud-lab/another/").leaks == set()


def test_commas_within_a_parameter_do_not_end_it() -> None:
    assert parameters({"a": "1,2", "b": "c\\d"}) == "a=1\\,2,b=c\\\\d"


def test_a_personality_is_what_the_parameter_takes() -> None:
    text = personality(("/etc/x", b"\0", "root", "mail", 0o640))
    assert json.loads(text) == [{"path": "/etc/x", "contents": "AA==", "owner": "root", "group": "mail", "mode": 0o640}]
