# SPDX-License-Identifier: BSD-2-Clause
"""Where every script of the provider starts: the quick answer of ``attach``, or the verb itself."""

import os
import sys

from archipelago import attached


def main(argv: list[str]) -> int:
    """Run the verb that the program is called by; returns its exit status."""
    verb = os.path.basename(argv[0])
    if verb == "attach":
        answer = attached.quick_answer(os.environ)
        if answer is not None:
            sys.stdout.write(answer)
            return 0
    from archipelago import provider  # only now: its imports cost more than the quick answer

    return provider.main(verb, os.environ)
