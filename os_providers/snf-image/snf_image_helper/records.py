# SPDX-License-Identifier: BSD-2-Clause
"""Named tuples without the module typing, which compiles every annotation: under emulation that is a tenth of a second.

They are those of Python's library in everything else.
"""

from __future__ import annotations

import collections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
else:
    Protocol = object

    class _Kind(type):
        """Makes a named tuple of a class, with its methods; a value that stands with a field is its default."""

        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = [namespace.pop(field) for field in fields if field in namespace]
            made = collections.namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            for attribute, value in namespace.items():
                if attribute not in ("__dict__", "__weakref__", "__qualname__", "__module__"):
                    setattr(made, attribute, value)
            return made

    class NamedTuple(metaclass=_Kind):
        """The base of all of them."""
