# SPDX-License-Identifier: BSD-2-Clause
"""An answer file: the XML by which Windows sets itself up ("unattend.xml" in its maker's words)."""

from __future__ import annotations

import base64
from xml.etree import ElementTree  # noqa: S405 - no document type is let in, which is what the warning is about
from xml.etree.ElementTree import Element

from snf_image_helper.task import TaskError

SPECIALIZE = "specialize"
OOBE = "oobeSystem"

SHELL = "Microsoft-Windows-Shell-Setup"
DEPLOYMENT = "Microsoft-Windows-Deployment"
INTERNATIONAL = "Microsoft-Windows-International-Core"

_NAMESPACE = "urn:schemas-microsoft-com:unattend"
_ACTIONS = "http://schemas.microsoft.com/WMIConfig/2002/State"
_MICROSOFT = "31bf3856ad364e35"
# More than any answer file needs, and far from the depth at which Python gives up.
_DEPTH = 32

ElementTree.register_namespace("", _NAMESPACE)
ElementTree.register_namespace("wcm", _ACTIONS)


class Entry:
    """An entry of a list in an answer file."""

    def __init__(self, element: Element) -> None:
        self._element = element

    def set(self, path: str, text: str) -> None:
        """Set what stands at *path*, with slashes."""
        _descend(self._element, path).text = text

    def add(self, path: str, name: str) -> Entry:
        """Add an entry *name* to the list at *path*."""
        return Entry(_added(_descend(self._element, path), name))

    def add_text(self, path: str, name: str, text: str) -> None:
        """Add an entry that is a text, which Windows tells from others by a number."""
        texts = _descend(self._element, path)
        element = _added(texts, name)
        element.set(f"{{{_ACTIONS}}}keyValue", str(len(texts)))
        element.text = text


class AnswerFile:
    """The settings of an answer file for the processor *architecture*, those for others left as they are."""

    def __init__(self, architecture: str, top: Element | None = None) -> None:
        self._architecture = architecture
        self._top = Element(_tag("unattend")) if top is None else top

    @classmethod
    def parse(cls, raw: bytes | str, architecture: str) -> AnswerFile:
        """Read a file from anybody; of a text, it does not count what encoding that says it has.

        Raises TaskError when it is no answer file.
        """
        parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314 - see _Builder
        try:
            parser.feed(raw)
            top = parser.close()
        except (ElementTree.ParseError, ValueError, LookupError) as err:
            raise TaskError(f"the answer file cannot be read: {err}") from err
        if top.tag != _tag("unattend"):
            raise TaskError(f"the answer file is none: its outermost element is not <unattend xmlns={_NAMESPACE!r}>")
        return cls(architecture, top)

    def encode(self) -> bytes:
        """The file."""
        raw: bytes = ElementTree.tostring(self._top, encoding="utf-8", xml_declaration=True)
        return raw

    def set(self, stage: str, component: str, path: str, text: str) -> None:
        """Set what stands at *path*, with slashes, in *component* of the pass *stage*."""
        _descend(self._component(stage, component), path).text = text

    def get(self, stage: str, component: str, path: str) -> str | None:
        """What stands there; None when nothing does."""
        found = self._find(stage, component)
        element = None if found is None else found.find(_tags(path))
        return None if element is None else element.text or ""

    def add(self, stage: str, component: str, path: str, name: str) -> Entry:
        """Add an entry *name* to the list at *path*."""
        return Entry(_added(_descend(self._component(stage, component), path), name))

    def drop(self, stage: str, component: str, path: str, key: str, text: str) -> None:
        """Take those entries out of the list at *path* whose *key* is *text*."""
        found = self._find(stage, component)
        entries = None if found is None else found.find(_tags(path))
        if entries is not None:
            for entry in [each for each in entries if each.findtext(_tag(key)) == text]:
                entries.remove(entry)

    def run(self, command: str, description: str) -> None:
        """Have *command* run once, behind those that are there, when Windows makes itself this machine."""
        self.drop(SPECIALIZE, DEPLOYMENT, "RunSynchronous", "Path", command)
        commands = _descend(self._component(SPECIALIZE, DEPLOYMENT), "RunSynchronous")
        orders = [each.text or "" for each in commands.iter(_tag("Order"))]
        last = max((int(order) for order in orders if order.isascii() and order.isdigit()), default=0)
        entry = self.add(SPECIALIZE, DEPLOYMENT, "RunSynchronous", "RunSynchronousCommand")
        for name, text in (("Order", str(last + 1)), ("Description", description), ("Path", command)):
            entry.set(name, text)

    def set_administrator_password(self, password: str) -> None:
        """Give the account that is built in a password."""
        accounts = _descend(self._component(OOBE, SHELL), "UserAccounts")
        _hide(_descend(accounts, "AdministratorPassword"), password, "AdministratorPassword")

    def makes_user(self, name: str) -> bool:
        """Whether the file has Windows make the user *name*."""
        return self._account(name) is not None

    def set_user_password(self, name: str, password: str) -> None:
        """Give the user *name* a password."""
        account = self._account(name)
        if account is None:
            accounts = _descend(self._component(OOBE, SHELL), "UserAccounts/LocalAccounts")
            account = _added(accounts, "LocalAccount")
            _descend(account, "Name").text = name
        _hide(_descend(account, "Password"), password, "Password")

    def forget_what_was_done(self) -> None:
        """Have Windows take every pass, also those that it noted as done when the image was made."""
        for settings in self._top.iter(_tag("settings")):
            settings.attrib.pop("wasPassProcessed", None)

    def _account(self, name: str) -> Element | None:
        shell = self._find(OOBE, SHELL)
        for account in () if shell is None else shell.iter(_tag("LocalAccount")):
            if (account.findtext(_tag("Name")) or "").strip().lower() == name.lower():
                return account
        return None

    def _find(self, stage: str, component: str) -> Element | None:
        for settings in self._top.findall(_tag("settings")):
            if settings.get("pass") == stage:
                for element in settings.findall(_tag("component")):
                    if (element.get("name"), element.get("processorArchitecture")) == (component, self._architecture):
                        return element
        return None

    def _component(self, stage: str, component: str) -> Element:
        found = self._find(stage, component)
        if found is not None:
            return found
        for settings in self._top.findall(_tag("settings")):
            if settings.get("pass") == stage:
                break
        else:
            settings = ElementTree.SubElement(self._top, _tag("settings"), {"pass": stage})
        attributes = {
            "name": component,
            "processorArchitecture": self._architecture,
            "publicKeyToken": _MICROSOFT,
            "language": "neutral",
            "versionScope": "nonSxS",
        }
        return ElementTree.SubElement(settings, _tag("component"), attributes)


class _Builder(ElementTree.TreeBuilder):
    """Refuses what makes XML a weapon: entities, which need a document type, and endless nesting."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        if self._depth > _DEPTH:
            raise ValueError(f"its elements are nested more than {_DEPTH} deep")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("it has a document type")


def _tag(name: str) -> str:
    return f"{{{_NAMESPACE}}}{name}"


def _tags(path: str) -> str:
    return "/".join(map(_tag, path.split("/")))


def _descend(element: Element, path: str) -> Element:
    """The element at *path* below *element*, made where it is missing."""
    for name in path.split("/"):
        found = element.find(_tag(name))
        element = ElementTree.SubElement(element, _tag(name)) if found is None else found
    return element


def _added(element: Element, name: str) -> Element:
    return ElementTree.SubElement(element, _tag(name), {f"{{{_ACTIONS}}}action": "add"})


def _hide(element: Element, password: str, suffix: str) -> None:
    """Put *password* into *element* as Windows itself hides it in answer files: with a word behind it, in base 64."""
    hidden = base64.b64encode((password + suffix).encode("utf-16-le", "surrogatepass")).decode()
    _descend(element, "Value").text = hidden
    _descend(element, "PlainText").text = "false"
