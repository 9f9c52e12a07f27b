# SPDX-License-Identifier: BSD-2-Clause
"""Configuration files: TOML under /etc/ganeti-cloud, one file a component, every key optional.

A component declares its keys once, as a table of :class:`Option`; the reader, the sample file and the manual page
are all made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ganeti_cloud.errors import ConfigError

FOLDER = "/etc/ganeti-cloud"


# A named tuple and not a dataclass: the scripts that Ganeti runs load this, and importing dataclasses costs them
# as much as the interpreter's own start.
class Option(NamedTuple):
    """One key: *check* returns the value to use or raises ValueError with the rule that was broken."""

    section: str
    key: str
    default: Any
    check: Callable[[Any], Any]
    help: str


Values = dict[tuple[str, str], Any]


def load(path: str, options: Sequence[Option], manual: str) -> Values:
    """The value of each of *options* by (section, key). A file that does not exist gives the defaults.

    Raises ConfigError that names every problem of the file, not just the first, and the page *manual* for help.
    """
    try:
        with open(path, "rb") as stream:
            text = stream.read().decode()
    except FileNotFoundError:
        return defaults(options)
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: {err}", hint="make the file readable for root, in UTF-8") from err
    return parse(text, path, options, manual)


def defaults(options: Sequence[Option]) -> Values:
    """What holds without a file."""
    return {(option.section, option.key): option.default for option in options}


def parse(text: str, path: str, options: Sequence[Option], manual: str) -> Values:
    """Like :func:`load`, for the *text* of a file that is called *path* in errors."""
    import tomllib  # most nodes have no file, and then need not load the parser

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"{path}: {err}", hint=f"correct the file; {manual} describes its keys") from err
    values = defaults(options)
    problems = _fill(values, tables, {(option.section, option.key): option for option in options})
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}", hint=f"correct the file; {manual} describes its keys")
    return values


def _fill(values: Values, tables: Mapping[str, Any], known: Mapping[tuple[str, str], Option]) -> list[str]:
    sections = {section for section, _ in known}
    problems = []
    for section, table in tables.items():
        if section not in sections or not isinstance(table, dict):
            problems.append(f"[{section}]: no such section")
            continue
        for key, raw in table.items():
            option = known.get((section, key))
            if option is None:
                problems.append(f"[{section}] {key}: no such key")
                continue
            try:
                values[section, key] = option.check(raw)
            except ValueError as err:
                problems.append(f"[{section}] {key}: {raw!r} is not {err}")
    return problems


def sample(options: Sequence[Option]) -> str:
    """A commented file with every key at its default, as shipped beside the documents."""
    lines: list[str] = []
    section = None
    for option in options:
        if option.section != section:
            lines += [*([""] if lines else []), f"[{option.section}]"]
            section = option.section
        lines += [f"# {option.help}", f"#{option.key} = {_toml(option.default)}"]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def choice(*allowed: str) -> Callable[[object], str]:
    """A check: one of the words *allowed*."""

    def check(raw: object) -> str:
        if not isinstance(raw, str) or raw not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return raw

    return check


def number(unit: str, *, minimum: int, maximum: int) -> Callable[[object], int]:
    """A check: a whole number of *unit* within the bounds."""

    def check(raw: object) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool) or not minimum <= raw <= maximum:
            raise ValueError(f"a whole number of {unit} from {minimum} to {maximum}")
        return raw

    return check


def seconds(*, minimum: int, maximum: int) -> Callable[[object], int]:
    """A check: a whole number of seconds within the bounds."""
    return number("seconds", minimum=minimum, maximum=maximum)


def optional(check: Callable[[object], str]) -> Callable[[object], str]:
    """A check: the empty text, or what *check* allows."""
    return lambda raw: "" if raw == "" else check(raw)


def word(allowed: str, what: str, *, empty: bool = False) -> Callable[[object], str]:
    """A check: a text of the characters *allowed*, the first a letter or digit; *what* says so to a person.

    A first "-" would make an option of it where it becomes the argument of a program.
    """

    def check(raw: object) -> str:
        if not isinstance(raw, str) or (not raw and not empty) or not set(raw) <= set(allowed):
            raise ValueError(what)
        if raw and not raw[0].isalnum():
            raise ValueError(what)
        return raw

    return check


def absolute_path(raw: object) -> str:
    """A check: the path of a file from the root."""
    if not isinstance(raw, str) or not raw.startswith("/") or "\n" in raw:
        raise ValueError("an absolute path")
    return raw
