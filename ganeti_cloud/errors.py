# SPDX-License-Identifier: BSD-2-Clause
"""The errors that a person is meant to read, and the one way of telling them."""


class CloudError(Exception):
    """Something went wrong that the administrator can act on: what it was, and what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(CloudError):
    """A configuration file cannot be used."""


class RequestError(CloudError):
    """What was asked for cannot be done as asked: a bad name, size or parameter."""


class CommandError(CloudError):
    """An external program failed.

    ``status`` is its exit status, ``None`` when it never had one; ``timed_out`` says that it was killed for being late.
    """

    def __init__(self, message: str, *, status: int | None, timed_out: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.timed_out = timed_out


class StorageError(CloudError):
    """The storage cluster refused an operation or did not answer."""


class GanetiError(CloudError):
    """Ganeti could not be asked, or refused to answer."""


def one_line(text: str) -> str:
    """*text* without line breaks, so that an error stays one line whatever a tool put into it."""
    return " ".join(text.split())


def report(err: CloudError) -> str:
    """The ``error:`` line and, when there is advice, the ``hint:`` line. Ends with a newline.

    Ganeti shows the last lines of a failed script, so these are the last things printed.
    """
    lines = [f"error: {one_line(str(err))}"]
    if err.hint:
        lines.append(f"hint: {one_line(err.hint)}")
    return "\n".join(lines) + "\n"
