# SPDX-License-Identifier: BSD-2-Clause
"""Configuration files: what is read, and every sentence about what cannot be."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from archipelago.parameters import OPTIONS
from ganeti_cloud import config
from ganeti_cloud.config import Option, Values, absolute_path, choice, defaults, load, parse, sample, seconds, word
from ganeti_cloud.errors import ConfigError

TABLE = (
    Option("log", "level", "info", choice("info", "debug"), "How much to tell."),
    Option("log", "file", "/var/log/x", absolute_path, "Where to."),
    Option("limits", "wait_s", 10, seconds(minimum=1, maximum=60), "How long to wait."),
    Option("limits", "user", "", word("abc", "a name of a, b and c", empty=True), "Whom to wait for."),
)

DEFAULTS: Values = {
    ("log", "level"): "info",
    ("log", "file"): "/var/log/x",
    ("limits", "wait_s"): 10,
    ("limits", "user"): "",
}

HINT = "correct the file; x.toml(5) describes its keys"


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("# [log]\n", {}, id="comment"),
        pytest.param("[log]\n", {}, id="empty section"),
        pytest.param(
            '[log]\nlevel = "debug"\n[limits]\nwait_s = 60\nuser = "abba"\n',
            {("log", "level"): "debug", ("limits", "wait_s"): 60, ("limits", "user"): "abba"},
            id="some",
        ),
        pytest.param('log.file = "/srv/ä"', {("log", "file"): "/srv/ä"}, id="dotted key"),
    ],
)
def test_what_is_given_replaces_the_default(text: str, changed: Values) -> None:
    assert parse(text, "x.toml", TABLE, "x.toml(5)") == {**DEFAULTS, **changed}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("[nope]\n", "x.toml: [nope]: no such section", id="section"),
        pytest.param("log = 3\n", "x.toml: [log]: no such section", id="value for a section"),
        pytest.param("[log]\nlevels = 1\n", "x.toml: [log] levels: no such key", id="key"),
        pytest.param("[log]\nwait_s = 1\n", "x.toml: [log] wait_s: no such key", id="key of another section"),
        pytest.param('[log]\nlevel = "no"\n', "x.toml: [log] level: 'no' is not one of info, debug", id="choice"),
        pytest.param("[log]\nlevel = [1]\n", "x.toml: [log] level: [1] is not one of info, debug", id="choice of list"),
        pytest.param('[log]\nfile = "x"\n', "x.toml: [log] file: 'x' is not an absolute path", id="relative path"),
        pytest.param('[log]\nfile = "/a\\nb"', "x.toml: [log] file: '/a\\nb' is not an absolute path", id="two lines"),
        pytest.param("[log]\nfile = 1", "x.toml: [log] file: 1 is not an absolute path", id="number for a path"),
        *(
            pytest.param(
                f"[limits]\nwait_s = {raw}\n",
                f"x.toml: [limits] wait_s: {shown} is not a whole number of seconds from 1 to 60",
                id=f"seconds {raw}",
            )
            for raw, shown in [("0", "0"), ("61", "61"), ("1.5", "1.5"), ("true", "True"), ('"5"', "'5'")]
        ),
        pytest.param('[limits]\nuser = "abd"', "x.toml: [limits] user: 'abd' is not a name of a, b and c", id="word"),
        pytest.param(
            "[log\n", "x.toml: Expected ']' at the end of a table declaration (at line 1, column 5)", id="TOML"
        ),
        pytest.param(
            '[nope]\n[log]\nlevel = "no"\nlevels = 1\n[limits]\nwait_s = 0\n',
            "x.toml: [nope]: no such section; [log] level: 'no' is not one of info, debug; [log] levels: no such key; "
            "[limits] wait_s: 0 is not a whole number of seconds from 1 to 60",
            id="all at once",
        ),
    ],
)
def test_what_cannot_be_used_is_named(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "x.toml", TABLE, "x.toml(5)")
    assert (str(caught.value), caught.value.hint) == (sentence, HINT)


NAMED = (
    *TABLE,
    Option("user.*", "shell", "/bin/sh", absolute_path, "What to run."),
    Option("user.*", "quota", 5, seconds(minimum=1, maximum=60), "How much."),
    Option("user.*", "groups", (), lambda raw: tuple(raw), "Which ones."),
)


def test_sections_that_the_file_names_itself() -> None:
    text = '[user.a-1]\nshell = "/bin/sh"\n[user.b]\nquota = 6\ngroups = ["x"]\n[log]\nlevel = "debug"\n'
    assert parse(text, "x.toml", NAMED, "x.toml(5)") == {
        **DEFAULTS,
        ("log", "level"): "debug",
        ("user.a-1", "shell"): "/bin/sh",
        ("user.a-1", "quota"): 5,
        ("user.a-1", "groups"): (),
        ("user.b", "shell"): "/bin/sh",
        ("user.b", "quota"): 6,
        ("user.b", "groups"): ("x",),
    }
    assert parse("[user]\n", "x.toml", NAMED, "x.toml(5)") == defaults(NAMED) == DEFAULTS


NAMES = "names have 1 to 32 lower-case letters, digits, '_' and '-', with a letter first"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("user = 1", "[user]: no such section", id="value for sections"),
        pytest.param("[user]\nshell = 1", "[user] shell: no such key", id="key without a name"),
        pytest.param("[user.a]\nshel = 1", "[user.a] shel: no such key", id="key"),
        pytest.param(
            "[user.a]\nquota = 0", "[user.a] quota: 0 is not a whole number of seconds from 1 to 60", id="value"
        ),
        pytest.param("[log.a]\nshell = 1", "[log] a: no such key", id="name for a plain section"),
        pytest.param('["user.*"]\nshell = "/x"', "[user.*]: no such section", id="the declaration itself"),
        pytest.param("[user.A]", f"[user.A]: {NAMES}", id="capital"),
        pytest.param("[user.1]", f"[user.1]: {NAMES}", id="digit first"),
        pytest.param('[user.""]', f"[user.]: {NAMES}", id="empty name"),
        pytest.param(f"[user.{'a' * 33}]", f"[user.{'a' * 33}]: {NAMES}", id="long name"),
        pytest.param(
            "[user.a]\nquota = 0\n[user.b]\nquota = 0\n",
            "[user.a] quota: 0 is not a whole number of seconds from 1 to 60; "
            "[user.b] quota: 0 is not a whole number of seconds from 1 to 60",
            id="all at once",
        ),
    ],
)
def test_what_is_wrong_with_sections_that_the_file_names_is_told(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "x.toml", NAMED, "x.toml(5)")
    assert str(caught.value) == f"x.toml: {sentence}"


def test_the_sample_shows_how_to_name_a_section() -> None:
    assert sample(NAMED).endswith(
        '\n#[user.NAME]\n# What to run.\n#shell = "/bin/sh"\n# How much.\n#quota = 5\n# Which ones.\n#groups = []\n'
    )
    assert parse(sample(NAMED), "x.toml", NAMED, "x.toml(5)") == DEFAULTS


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(str(tmp_path / "none.toml"), TABLE, "x.toml(5)") == defaults(TABLE) == DEFAULTS


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[limits]\nwait_s = 1\n")
    assert load(str(path), TABLE, "x.toml(5)") == {**DEFAULTS, ("limits", "wait_s"): 1}


def a_folder(path: Path) -> str:
    path.mkdir()
    return f"[Errno 21] Is a directory: '{path}'"


def latin_1(path: Path) -> str:
    path.write_bytes(b"# \xe4\n")
    return "'utf-8' codec can't decode byte 0xe4 in position 2: invalid continuation byte"


def behind_a_file(path: Path) -> str:
    path.symlink_to("/dev/null/x")
    return f"[Errno 20] Not a directory: '{path}'"


@pytest.mark.parametrize("make", [a_folder, latin_1, behind_a_file])
def test_a_file_that_cannot_be_read_is_no_default(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = tmp_path / "x.toml"
    reason = make(path)
    with pytest.raises(ConfigError) as caught:
        load(str(path), TABLE, "x.toml(5)")
    assert (str(caught.value), caught.value.hint) == (
        f"{path}: {reason}",
        "make the file readable for root, in UTF-8",
    )


def test_a_word_never_looks_like_an_option() -> None:
    for raw in ("-x", ".x", "_x"):
        with pytest.raises(ValueError, match="^a name$"):
            word("x-._", "a name")(raw)


def test_a_word_may_have_to_be_there() -> None:
    with pytest.raises(ValueError, match="^a name$"):
        word("abc", "a name")("")


def test_the_sample_shows_each_key_at_its_default() -> None:
    assert sample(TABLE) == (
        '[log]\n# How much to tell.\n#level = "info"\n# Where to.\n#file = "/var/log/x"\n'
        '\n[limits]\n# How long to wait.\n#wait_s = 10\n# Whom to wait for.\n#user = ""\n'
    )


@pytest.mark.parametrize("options", [TABLE, OPTIONS], ids=["this table", "archipelago"])
def test_the_sample_means_the_defaults(options: tuple[Option, ...]) -> None:
    text = sample(options)
    assert parse(text, "sample", options, "x.toml(5)") == defaults(options)
    switched_on = "".join(line.removeprefix("#") if not line.startswith("# ") else "" for line in text.splitlines(True))
    assert parse(switched_on, "sample", options, "x.toml(5)") == defaults(options)
    assert sum(len(table) for table in tomllib.loads(switched_on).values()) == len(options)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: f"{option.section}.{option.key}")
def test_each_default_of_archipelago_passes_its_own_check(option: config.Option) -> None:
    assert option.check(option.default) == option.default
