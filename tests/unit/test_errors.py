# SPDX-License-Identifier: BSD-2-Clause
"""What a person reads when something fails."""

from __future__ import annotations

import pytest

from ganeti_cloud.errors import CloudError, CommandError, ConfigError, RequestError, StorageError, one_line, report


@pytest.mark.parametrize(
    ("err", "text"),
    [
        pytest.param(CloudError("it broke"), "error: it broke\n", id="no hint"),
        pytest.param(CloudError("it broke", hint="mend it"), "error: it broke\nhint: mend it\n", id="hint"),
        pytest.param(
            StorageError("two\nlines\n", hint="first this\r\n\tthen that"),
            "error: two lines\nhint: first this then that\n",
            id="line breaks within",
        ),
        pytest.param(RequestError(""), "error: \n", id="empty"),
    ],
)
def test_report(err: CloudError, text: str) -> None:
    assert report(err) == text


@pytest.mark.parametrize(
    "err",
    [CloudError("x"), ConfigError("x"), RequestError("x"), StorageError("x"), CommandError("x", status=3)],
    ids=lambda err: type(err).__name__,
)
def test_every_error_ends_a_program_with_1(err: CloudError) -> None:
    assert err.exit_code == 1


def test_a_command_error_keeps_the_status() -> None:
    err = CommandError("lvs: exit 5", status=5, hint="see lvs(8)")
    assert (str(err), err.status, err.hint) == ("lvs: exit 5", 5, "see lvs(8)")


def test_one_line_keeps_the_words() -> None:
    assert one_line("  a\n\n b\x0bc  d ") == "a b c d"
