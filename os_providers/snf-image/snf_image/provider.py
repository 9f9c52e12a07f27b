# SPDX-License-Identifier: BSD-2-Clause
"""The scripts of the OS: each reads its request, does it, and is done."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType

from ganeti_cloud import spool
from ganeti_cloud.errors import CloudError, RequestError, report
from snf_image import jobs, opening, request, settings, telling, wanted
from snf_image.telling import Teller


def main(argv: list[str], env: Mapping[str, str]) -> int:
    """Run the script that the program is called by, with Ganeti's environment *env*; returns the exit status."""
    verb = os.path.basename(argv[0])
    try:
        action = _VERBS.get(verb)
        if action is None:
            raise RequestError(f"{verb!r} is not a script of this OS", hint=f"call one of {', '.join(_VERBS)}")
        action(env)
    except CloudError as err:
        sys.stdout.flush()
        sys.stderr.write(report(err))
        return err.exit_code
    return 0


def _create(env: Mapping[str, str]) -> None:
    # Within here: export and import need nothing of all that a deployment does.
    from snf_image import deploying
    from snf_image.machine.running import run_helper

    signal.signal(signal.SIGTERM, _end)
    writer = spool.Writer()
    instance = env.get("INSTANCE_NAME", "")
    teller = Teller([telling.to_log, telling.to_spool(instance, writer.put)], telling.console_to_log)
    try:
        asked = request.of_create(env)
        plan = deploying.plan(asked, settings.load(asked.variant), teller)
        deploying.carry_out(plan, teller, run_helper)
    except CloudError as err:
        teller.error(str(err))
        raise CloudError(teller.clean(str(err)), hint=teller.clean(err.hint)) from err
    except BaseException:
        teller.error("the deployment ended for a reason that nobody expected; the log of the OS has it")
        raise
    finally:
        writer.close()
        if writer.dropped:
            sys.stderr.write(f"warning: {writer.dropped} events did not get into {spool.FOLDER}\n")


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise CloudError("the deployment was ended by a signal", hint="see who ends jobs on this node, and run it again")


def _verify(env: Mapping[str, str]) -> None:
    configured = settings.load(env.get("OS_VARIANT", ""))
    asked = wanted.parse(request.parameters_of(env), configured)
    entry = opening.look(asked, configured)
    jobs.merged(asked, {} if entry is None else entry.properties, configured)


def _export(env: Mapping[str, str]) -> None:
    from snf_image import streams

    disk = request.of_transfer(env, "EXPORT")
    streams.export(disk, sys.stdout.fileno(), lambda size: _tell_size(env, size))


def _tell_size(env: Mapping[str, str], size: int) -> None:
    descriptor = env.get("EXP_SIZE_FD", "")
    if descriptor.isascii() and descriptor.isdigit():
        os.write(int(descriptor), f"{size}\n".encode())
        os.close(int(descriptor))


def _import(env: Mapping[str, str]) -> None:
    from snf_image import streams

    streams.bring_in(request.of_transfer(env, "IMPORT"), sys.stdin.fileno())


def _rename(env: Mapping[str, str]) -> None:
    """Nothing: what an instance is called inside is its own affair once it has run."""


_VERBS: dict[str, Callable[[Mapping[str, str]], None]] = {
    "create": _create,
    "export": _export,
    "import": _import,
    "rename": _rename,
    "verify": _verify,
}
