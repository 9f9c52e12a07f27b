# SPDX-License-Identifier: BSD-2-Clause
"""Configuration files: TOML under /etc/ganeti-cloud, one file a component, every key optional.

A component declares its keys once, as a table of :class:`Option`; the reader, the sample file and the manual page
are all made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ganeti_cloud.errors import ConfigError

FOLDER = "/etc/ganeti-cloud"


# A named tuple and not a dataclass: the scripts that Ganeti runs load this, and importing dataclasses costs them
# as much as the interpreter's own start.
class Option(NamedTuple):
    """One key: *check* returns the value to use or raises ValueError with the rule that was broken."""

    section: str
    """``profile.*``: the file has any number of sections ``[profile.NAME]`` with this key."""
    key: str
    default: Any
    check: Callable[[Any], Any]
    help: str


Values = dict[tuple[str, str], Any]


def load(path: str, options: Sequence[Option], manual: str) -> Values:
    """The value of each of *options* by (section, key). A file that does not exist gives the defaults.

    Of sections that the file names itself there are those that it has, each with all of its keys.

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
    return {(option.section, option.key): option.default for option in options if not _is_named(option.section)}


def parse(text: str, path: str, options: Sequence[Option], manual: str) -> Values:
    """Like :func:`load`, for the *text* of a file that is called *path* in errors."""
    import tomllib  # most nodes have no file, and then need not load the parser

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"{path}: {err}", hint=f"correct the file; {manual} describes its keys") from err
    values = defaults(options)
    problems: list[str] = []
    for section, table, declared in _sections(tables, options, problems):
        known = {option.key: option for option in options if option.section == declared}
        if section != declared:
            values.update({(section, key): option.default for key, option in known.items()})
        problems += _fill(values, section, table, known)
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}", hint=f"correct the file; {manual} describes its keys")
    return values


_ANY_NAME = ".*"
_NAME_FIRST = "abcdefghijklmnopqrstuvwxyz"
_NAME_LATER = f"{_NAME_FIRST}0123456789_-"
_NAME_LENGTH = 32


def _is_named(section: str) -> bool:
    return section.endswith(_ANY_NAME)


def _sections(
    tables: Mapping[str, Any], options: Sequence[Option], problems: list[str]
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Each section of a file with its table, and as what *options* declare it; others become *problems*."""
    declared = {option.section for option in options}
    for section, table in tables.items():
        if isinstance(table, dict) and section in declared and not _is_named(section):
            yield section, table, section
        elif isinstance(table, dict) and section + _ANY_NAME in declared:
            for name, inner in table.items():
                if not isinstance(inner, dict):
                    problems.append(f"[{section}] {name}: no such key")
                elif not _is_name(name):
                    problems.append(f"[{section}.{name}]: {_NAME_RULE}")
                else:
                    yield f"{section}.{name}", inner, section + _ANY_NAME
        else:
            problems.append(f"[{section}]: no such section")


_NAME_RULE = f"names have 1 to {_NAME_LENGTH} lower-case letters, digits, '_' and '-', with a letter first"


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _NAME_LENGTH and name[0] in _NAME_FIRST and set(name) <= set(_NAME_LATER)


def _fill(values: Values, section: str, table: Mapping[str, Any], known: Mapping[str, Option]) -> list[str]:
    """Take the keys of one *section* into *values*; what is wrong with them."""
    problems = []
    for key, raw in table.items():
        option = known.get(key)
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
            shown = f"#[{option.section[:-1]}NAME]" if _is_named(option.section) else f"[{option.section}]"
            lines += [*([""] if lines else []), shown]
            section = option.section
        lines += [f"# {option.help}", f"#{option.key} = {_toml(option.default)}"]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
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
