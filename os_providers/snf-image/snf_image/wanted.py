# SPDX-License-Identifier: BSD-2-Clause
"""What a deployment is to be, out of the parameters: each is read for what it means, or refused."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ganeti_cloud.errors import RequestError
from ganeti_cloud.imagefile.fetching import Checksum, parse_checksum
from ganeti_cloud.imagefile.formats import FORMATS
from snf_image import keys, personality, properties, sources
from snf_image.parameters import PARAMETERS
from snf_image.settings import Settings
from snf_image.sources import Source
from snf_image_helper.job import PersonalityFile

# What the original called an image of a whole disk.
DISKDUMP = "diskdump"
_PRODUCT_KEY = re.compile(r"[A-Z0-9]{5}(-[A-Z0-9]{5}){4}")
# crypt(5): $ID$, then parameters, salt and hash in their own base64.
_HASH = re.compile(r"\$(1|2[abxy]|5|6|7|y|gy|sha1)\$[./A-Za-z0-9$=,]{8,}")
_PASSWORD = 255
_HASHED = 500

HINT = "see snf-image.toml(5) for what this site sets, and ganeti-os-snf-image(7) for the parameters"


class Wanted(NamedTuple):
    """A deployment as it was asked for. *format* is empty for one to be recognised; empty text is "none"."""

    source: Source
    format: str
    checksum: Checksum | None
    password: str
    password_hash: str
    image_properties: Mapping[str, str]
    instance_properties: Mapping[str, str]
    personality: tuple[PersonalityFile, ...]
    ssh_keys: tuple[str, ...]
    product_key: str
    answer_file_url: str
    user_data: bytes

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no sentence may hold."""
        return tuple(secret for secret in (self.password, self.password_hash, self.product_key) if secret)


def parse(given: Mapping[str, str], settings: Settings) -> Wanted:
    """What the parameters *given* ask for, with the site's defaults below them.

    Raises RequestError that tells all that is wrong with them, and no secret.
    """
    # Ganeti has no way to take a default away for one instance but to set it empty.
    parameters = {name: value for name, value in {**settings.defaults, **given}.items() if value}
    reading = _Reading(parameters, settings)
    wanted = reading.wanted()
    if reading.problems:
        raise RequestError("; ".join(reading.problems), hint=HINT)
    return wanted


class _Reading:
    """Reads parameter after parameter and collects what is wrong."""

    def __init__(self, parameters: Mapping[str, str], settings: Settings) -> None:
        self._parameters, self._settings = parameters, settings
        known = {each.name for each in PARAMETERS}
        self.problems = [f"{name}: there is no such parameter" for name in sorted(set(parameters) - known)]

    def _read(self, name: str, parse_one: Callable[[str], Any], default: Any) -> Any:
        if name not in self._parameters:
            return default
        try:
            return parse_one(self._parameters[name])
        except (ValueError, RequestError) as err:
            self.problems.append(f"{name}: {err}")
            return default

    def wanted(self) -> Wanted:
        allowed = self._settings.https_allow
        if "img_id" not in self._parameters:
            self.problems.append("img_id: it says where the image comes from, and is missing")
        found = Wanted(
            source=self._read("img_id", lambda text: sources.parse(text, allowed), sources.Null()),
            format=self._read("img_format", _format, ""),
            checksum=self._read("img_checksum", parse_checksum, None),
            password=self._read("img_passwd", _password, ""),
            password_hash=self._read("img_passwd_hash", _password_hash, ""),
            image_properties=self._read("img_properties", properties.parse, {}),
            instance_properties=self._read("inst_properties", properties.parse, {}),
            personality=self._read("img_personality", personality.parse, ()),
            ssh_keys=self._read("auth_keys", keys.parse, ()),
            product_key=self._read("os_product_key", _product_key, ""),
            answer_file_url=self._read("os_answer_file", lambda text: sources.allowed_url(text, allowed), ""),
            user_data=self._read("cloud_userdata", _base64, b""),
        )
        self._look_at_all(found)
        return found

    def _look_at_all(self, wanted: Wanted) -> None:
        merged = {**wanted.image_properties, **wanted.instance_properties}
        self.problems += properties.problems(merged, custom_allowed=self._settings.custom_allowed)
        if wanted.password and wanted.password_hash:
            self.problems.append("img_passwd and img_passwd_hash exclude each other")
        if wanted.password_hash and merged.get("OSFAMILY", "").lower() == "windows":
            self.problems.append("img_passwd_hash: Windows takes no hash, so give img_passwd")
        if isinstance(wanted.source, sources.Https) and "img_checksum" not in self._parameters:
            self.problems.append("img_checksum: an image from an https address needs one")
        if isinstance(wanted.source, sources.Null | sources.Catalogue) and wanted.checksum is not None:
            self.problems.append("img_checksum: only a file or an https address is compared with one")


def _format(text: str) -> str:
    if text == DISKDUMP:
        return "raw"
    if text in {"extdump", "ntfsdump"}:
        raise ValueError(f"{text} is not supported any more: make an image of a whole disk")
    if text not in FORMATS:
        raise ValueError(f"{text[:64]!r} is none of {', '.join([DISKDUMP, *FORMATS])}")
    return text


def _password(text: str) -> str:
    if not text.isprintable() or len(text) > _PASSWORD:
        raise ValueError(f"a password is one line of at most {_PASSWORD} characters that can be printed")
    return text


def _password_hash(text: str) -> str:
    if not _HASH.fullmatch(text) or len(text) > _HASHED:
        raise ValueError("it is no hash as crypt(5) makes them, $ID$SALT$HASH")
    return text


def _product_key(text: str) -> str:
    if not _PRODUCT_KEY.fullmatch(text):
        raise ValueError("a product key is five groups of five capitals and digits, with '-' between them")
    return text


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as err:
        raise ValueError("it is not base64") from err
