# SPDX-License-Identifier: BSD-2-Clause
"""Asking Ganeti over the network, by its remote API (RAPI)."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
import urllib.parse
from typing import Any

from archipelago.parameters import Settings
from ganeti_cloud.errors import GanetiError
from ganeti_cloud.luxi import FINAL

_ANSWER_S = 30.0
_POLL_S = 0.2


class Rapi:
    """The RAPI daemon that the settings name. Raises GanetiError for all that goes wrong.

    Its certificate has to be the very one in ``[ganeti] rapi_certificate``: Ganeti makes it for no name of a host, and
    signs it with its own key, so there is nothing else that could be checked.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.rapi
        self._place = urllib.parse.urlsplit(settings.rapi)
        self._certificate = ssl.PEM_cert_to_DER_cert(_first_certificate(_content(settings.rapi_certificate)))
        self._headers = {"Accept": "application/json"}
        if settings.rapi_user:
            password = _content(settings.rapi_password_file).strip()
            token = base64.b64encode(f"{settings.rapi_user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"

    def get(self, path: str) -> Any:
        """What RAPI answers to a GET of *path*."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # compared below, before anything is sent
        connection = http.client.HTTPSConnection(
            self._place.hostname or "", self._place.port or 5080, timeout=_ANSWER_S, context=context
        )
        try:
            connection.connect()
            self._check(connection.sock)
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            if answer.status != http.client.OK:
                raise GanetiError(
                    f"Ganeti's RAPI at {self._url} refuses {path} ({answer.status} {answer.reason})",
                    hint="see [ganeti] in archipelago.toml(5), and the users in /var/lib/ganeti/rapi/users",
                )
            return json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as err:
            raise GanetiError(
                f"Ganeti's RAPI at {self._url} cannot be used ({err})", hint="see [ganeti] in archipelago.toml(5)"
            ) from err
        finally:
            connection.close()

    def _check(self, connected: ssl.SSLSocket) -> None:
        if connected.getpeercert(binary_form=True) != self._certificate:
            raise GanetiError(
                f"Ganeti's RAPI at {self._url} has another certificate than [ganeti] rapi_certificate",
                hint="copy the certificate of that cluster's /var/lib/ganeti/rapi.pem to this node",
            )

    def wait(self, job: object, *, timeout_s: float) -> Any:
        """The result of the only opcode of *job*, when it has ended."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            state = self.get(f"/2/jobs/{job}")
            if state["status"] == "success":
                return state["opresult"][0]
            if state["status"] in FINAL:
                raise GanetiError(f"Ganeti's job {job} ended with {state['status']}", hint=f"see `gnt-job info {job}`")
            time.sleep(_POLL_S)
        raise GanetiError(f"Ganeti's job {job} did not end within {timeout_s:g} s", hint=f"see `gnt-job info {job}`")


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as err:
        raise GanetiError(f"{path} cannot be read ({err})", hint="see [ganeti] in archipelago.toml(5)") from err


def _first_certificate(text: str) -> str:
    """The first certificate of a file in the format PEM, which may hold a key as well."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start, stop = text.find(begin), text.find(end)
    if start < 0 or stop < start:
        raise GanetiError(
            "the file that [ganeti] rapi_certificate names has no certificate", hint="see archipelago.toml(5)"
        )
    return text[start : stop + len(end)]
