# SPDX-License-Identifier: BSD-2-Clause
"""The parameters of the OS (``gnt-instance add -O key=value``): what there is, and nothing of what they mean."""

from __future__ import annotations

from typing import NamedTuple


class Parameter(NamedTuple):
    """One parameter; *help* is its line in parameters.list, where Ganeti shows it (``gnt-os info``)."""

    name: str
    help: str


PARAMETERS = (
    Parameter("img_id", "Image: null (the disk holds it), archipelago:NAME, a file, or an https address"),
    Parameter("img_format", "Format of the image: raw, qcow2, vmdk, vpc, vhdx, or diskdump (the same as raw)"),
    Parameter("img_checksum", "sha256:HEX or sha512:HEX of the image as it comes; an https address needs it"),
    Parameter("img_passwd", "Password of the users of the image; give it as a secret parameter"),
    Parameter("img_passwd_hash", "Hash of that password as in /etc/shadow, instead of it; not for Windows"),
    Parameter("img_properties", "Properties of the image, a JSON object"),
    Parameter("inst_properties", "Properties of this instance, a JSON object that holds over img_properties"),
    Parameter("img_personality", "Files to put into the image, a JSON list of {path, contents, owner, group, mode}"),
    Parameter("auth_keys", "SSH public keys of the users of the image, a line each"),
    Parameter("os_product_key", "Product key of Windows, five groups of five"),
    Parameter("os_answer_file", "https address of an answer file (unattend.xml) for Windows"),
    Parameter("cloud_userdata", "User data for cloud-init, in base64"),
)

# What stands in no file that all may read, and in no sentence.
SECRETS = frozenset({"img_passwd", "img_passwd_hash", "img_personality", "os_product_key", "cloud_userdata"})


def parameters_list() -> str:
    """The text of the file parameters.list. No blank line may be in it: Ganeti stumbles over one."""
    return "".join(f"{each.name} {each.help}\n" for each in PARAMETERS)
