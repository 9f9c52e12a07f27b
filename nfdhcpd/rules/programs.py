# SPDX-License-Identifier: BSD-2-Clause
"""What nft and iptables are asked, and what they say."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ganeti_cloud.errors import CloudError, CommandError
from ganeti_cloud.process import BASE_ENV, run, stream
from nfdhcpd.rules.iptables import PROGRAMS, Present, present
from nfdhcpd.rules.nft import FAMILIES, NAME

_LIMIT_S = 30.0
_ROOT = "run as root; `nfdhcpd rules apply --dry-run` prints what was to be done"
# Of another program that changes iptables' rules just now.
_LOCK_S = 10

_BRIDGES = Path("/proc/sys/net/bridge")
_SYSCTLS = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")


def has(program: str) -> bool:
    """Whether this machine has *program*."""
    return shutil.which(program, path=BASE_ENV["PATH"]) is not None


def nft(text: str, *, check: bool = False) -> None:
    """Have nft carry out *text* as one transaction; with *check*, have it and the kernel only try.

    Raises CloudError with what nft has against it.
    """
    _fed(["nft", *(["--check"] if check else []), "--file", "-"], text)


def nft_accepts(text: str) -> bool:
    """Whether nft and this kernel can carry out *text*. Changes nothing. Raises CommandError when nft does not say."""
    try:
        nft(text, check=True)
    except CommandError:
        raise
    except CloudError:
        return False
    return True


def nft_tables() -> dict[str, str]:
    """What nft shows of the tables that are there, by family."""
    if not has("nft"):
        return {}
    tables = _told("nft", "list", "tables").splitlines()
    return {
        family: _told("nft", "list", "table", family, NAME) for family in FAMILIES if f"table {family} {NAME}" in tables
    }


def restore(ip: int, text: str) -> None:
    """Have iptables, or for version 6 of IP ip6tables, carry out *text* as one transaction."""
    _fed([f"{PROGRAMS[ip]}-restore", "--noflush", f"--wait={_LOCK_S}"], text)


def saved(ip: int) -> Present:
    """What iptables, or ip6tables, shows of ours."""
    if not has(PROGRAMS[ip]):
        return Present(chain=False, jumps=0, rules=())
    return present(_told(f"{PROGRAMS[ip]}-save", "--counters"))


def hidden_bridges() -> list[str]:
    """The sysctls that keep packets on bridges from iptables.

    Without br_netfilter there are none: the kernel loads it with the first rule that asks for the physical input, and
    has them on then.
    """
    names = [name for name in _SYSCTLS if (_BRIDGES / name).exists()]
    return [f"net.bridge.{name}" for name in names if (_BRIDGES / name).read_text(encoding="ascii").strip() == "0"]


def _told(*argv: str) -> str:
    return run(argv, timeout_s=_LIMIT_S, hint="run as root")


def _fed(argv: Sequence[str], text: str) -> None:
    said: list[bytes] = []
    with tempfile.TemporaryFile() as stdin:
        stdin.write(text.encode())
        stdin.seek(0)
        try:
            stream(argv, said.append, timeout_s=_LIMIT_S, stdin=stdin, stderr=True)
        except CommandError as err:
            if err.status is None:
                raise
            raise CloudError(f"{argv[0]}: {_complaint(b''.join(said).decode(errors='replace'))}", hint=_ROOT) from err


def _complaint(said: str) -> str:
    """The line of *said* that tells what is wrong: both programs print the place below it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower() or "failed" in line), " ".join(lines[:1]))
