# SPDX-License-Identifier: BSD-2-Clause
"""The scripts that Ganeti runs, up to where the cluster begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago import attaching, opening, provider
from archipelago.contract.openings import Opening
from tests.unit.settings import VOLUME

ENV = {"VOL_NAME": VOLUME, "VOL_SIZE": "1024", "EXTP_PROVIDER": "archipelago"}

SET_BY_GANETI = "hint: Ganeti sets this variable; to try a script by hand see archipelago-provider(7)\n"


@pytest.fixture(autouse=True)
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file, which does not exist."""
    path = tmp_path / "archipelago.toml"
    monkeypatch.setattr(provider, "CONFIG_FILE", str(path))
    return path


@pytest.mark.parametrize(
    ("verb", "env", "text"),
    [
        pytest.param(
            "frobnicate",
            ENV,
            "error: 'frobnicate' is not a script of this provider\n"
            "hint: call one of create, attach, detach, remove, grow, setinfo, verify, snapshot, open, close\n",
            id="unknown verb",
        ),
        pytest.param("open", {}, f"error: VOL_NAME is not set\n{SET_BY_GANETI}", id="empty environment"),
        pytest.param(
            "create",
            {**ENV, "VOL_SIZE": "1\nG"},
            f"error: VOL_SIZE='1\\nG' is not a size in MiB\n{SET_BY_GANETI}",
            id="bad size",
        ),
        pytest.param(
            "open",
            {**ENV, "VOL_OPEN_EXCLUSIVE": "yes"},
            f"error: VOL_OPEN_EXCLUSIVE='yes' is neither True nor False\n{SET_BY_GANETI}",
            id="bad truth",
        ),
        pytest.param(
            "create",
            {**ENV, "EXTP_PARENT": "debian"},
            "error: unknown disk parameter 'parent'\n"
            "hint: the parameters of this provider are "
            "origin, reuse_data, driver, pool, namespace, user, keyring, conf\n",
            id="unknown parameter",
        ),
        pytest.param(
            "create",
            {**ENV, "EXTP_ORIGIN": "debian", "EXTP_REUSE_DATA": "old"},
            "error: the disk parameters origin and reuse_data exclude each other\n"
            "hint: give one of them: a new volume begins as a clone, or an old one is taken over\n",
            id="clone and old volume",
        ),
        pytest.param(
            "detach",
            {**ENV, "EXTP_POOL": "a/b"},
            "error: disk parameter pool='a/b' is not a name of letters, digits, '_', '.' and '-', "
            "with a letter or digit first\n"
            "hint: give --disk N:pool=… another value, or leave it out for the configured one\n",
            id="bad parameter",
        ),
    ],
)
def test_what_cannot_be_done_is_two_lines(
    verb: str, env: dict[str, str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert provider.main(verb, env) == 1
    assert capsys.readouterr() == ("", text)


def test_a_bad_configuration_is_two_lines(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config_file.write_text("[ceph]\nconf = 1\npol = 'x'\n", encoding="utf-8")
    assert provider.main("close", ENV) == 1
    assert capsys.readouterr() == (
        "",
        f"error: {config_file}: [ceph] conf: 1 is not an absolute path; [ceph] pol: no such key\n"
        "hint: correct the file; archipelago.toml(5) describes its keys\n",
    )


@pytest.mark.parametrize("word", ["True", "False"])
def test_open_tells_whom_it_fenced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    def open_volume(volume: str, settings: object, *, exclusive: bool) -> list[Opening]:
        assert (volume, exclusive) == (VOLUME, word == "True")
        return [Opening("node1.example.com", exclusive=True, since="2026-11-20T10:00:00Z")]

    monkeypatch.setattr(opening, "open_volume", open_volume)
    assert provider.main("open", {**ENV, "VOL_OPEN_EXCLUSIVE": word}) == 0
    assert capsys.readouterr() == (
        "",
        f"open: node1.example.com had {VOLUME} open since 2026-11-20T10:00:00Z, and is fenced from it\n",
    )


def test_close_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    closed = []
    monkeypatch.setattr(opening, "close_volume", lambda volume, settings: closed.append(volume))
    assert provider.main("close", ENV) == 0
    assert (closed, capsys.readouterr()) == ([VOLUME], ("", ""))


def test_attach_prints_the_answer_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(attaching, "attach", lambda volume, settings, env: f"/dev/{volume}\n")
    assert provider.main("attach", ENV) == 0
    assert capsys.readouterr() == (f"/dev/{VOLUME}\n", "")


def test_detach_of_what_is_not_attached(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(attaching, "detach", lambda volume, settings: False)
    assert provider.main("detach", ENV) == 0
    assert capsys.readouterr() == ("", f"detach: {VOLUME} is not attached here, nothing to do\n")


def test_what_is_no_error_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(volume: str, settings: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(attaching, "detach", broken)
    with pytest.raises(ZeroDivisionError):
        provider.main("detach", ENV)
