# SPDX-License-Identifier: BSD-2-Clause
"""Answer files: what is read, what is refused, what is written; and the names of computers."""

from __future__ import annotations

import base64
from xml.etree import ElementTree  # noqa: S405 - of files made here

import pytest

from snf_image_helper.task import TaskError
from snf_image_helper.windows.answer_file import DEPLOYMENT, OOBE, SHELL, SPECIALIZE, AnswerFile
from snf_image_helper.windows.naming import computer_name

NAMESPACE = "{urn:schemas-microsoft-com:unattend}"
ACTION = "{http://schemas.microsoft.com/WMIConfig/2002/State}action"
HEAD = '<unattend xmlns="urn:schemas-microsoft-com:unattend">'
COMPONENT = '<component name="Microsoft-Windows-Shell-Setup" processorArchitecture="{}">'

IMAGE = f"""\
<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State">
 <settings pass="specialize" wasPassProcessed="true">
  {COMPONENT.format("x86")}<ComputerName>other</ComputerName></component>
  {COMPONENT.format("amd64")}<ComputerName>template</ComputerName><OwnersOwn>kept</OwnersOwn></component>
  <component name="Microsoft-Windows-Deployment" processorArchitecture="amd64">
   <RunSynchronous><RunSynchronousCommand wcm:action="add"><Order>4</Order><Path>own.cmd</Path>
   </RunSynchronousCommand></RunSynchronous>
  </component>
 </settings>
 <settings pass="oobeSystem">
  {COMPONENT.format("amd64")}
   <UserAccounts><LocalAccounts><LocalAccount wcm:action="add"><Name>Bob</Name><Group>Users</Group>
    <Password><Value>old</Value><PlainText>true</PlainText></Password></LocalAccount></LocalAccounts></UserAccounts>
  </component>
 </settings>
</unattend>
"""


def parsed(answers: AnswerFile) -> AnswerFile:
    """What Windows will read of *answers*."""
    return AnswerFile.parse(answers.encode(), "amd64")


def shown(value: str | None) -> str:
    """The password that Windows sees in *value*, with the word behind it."""
    assert value is not None
    return base64.b64decode(value).decode("utf-16-le")


def test_whatever_the_text_is_it_stays_text() -> None:
    nasty = 'a"b\'</Value><x y="z">&amp;%PATH%^|<>]]>'
    answers = AnswerFile("amd64")
    answers.set(SPECIALIZE, SHELL, "ComputerName", nasty)
    assert parsed(answers).get(SPECIALIZE, SHELL, "ComputerName") == nasty


@pytest.mark.parametrize("password", ["sesame", "</Value>&\"'%PATH%^!", "πάσγουορντ 🔑", ""])
def test_passwords_are_hidden_as_windows_hides_them(password: str) -> None:
    answers = AnswerFile("amd64")
    answers.set_administrator_password(password)
    answers.set_user_password("eve", password)
    again = parsed(answers)
    accounts = "UserAccounts/AdministratorPassword"
    assert shown(again.get(OOBE, SHELL, f"{accounts}/Value")) == f"{password}AdministratorPassword"
    assert again.get(OOBE, SHELL, f"{accounts}/PlainText") == "false"
    user = "UserAccounts/LocalAccounts/LocalAccount"
    assert again.get(OOBE, SHELL, f"{user}/Name") == "eve"
    assert shown(again.get(OOBE, SHELL, f"{user}/Password/Value")) == f"{password}Password"
    assert password == "" or password.encode() not in answers.encode()


def test_the_password_of_the_documentation() -> None:
    """The example in the reference of AdministratorPassword is what its maker's own tool wrote for "pwd"-like text."""
    answers = AnswerFile("amd64")
    answers.set_administrator_password("pw")
    value = answers.get(OOBE, SHELL, "UserAccounts/AdministratorPassword/Value")
    assert value is not None
    assert value.endswith("AEEAZABtAGkAbgBpAHMAdAByAGEAdABvAHIAUABhAHMAcwB3AG8AcgBkAA==")


def test_what_the_image_says_is_kept() -> None:
    answers = AnswerFile.parse(IMAGE.encode(), "amd64")
    answers.set(SPECIALIZE, SHELL, "ComputerName", "vm1")
    answers.run("new.exe", "something")
    answers.set_user_password("bob", "sesame")
    answers.forget_what_was_done()
    again = parsed(answers)
    assert again.get(SPECIALIZE, SHELL, "ComputerName") == "vm1"
    assert again.get(SPECIALIZE, SHELL, "OwnersOwn") == "kept"
    assert AnswerFile.parse(answers.encode(), "x86").get(SPECIALIZE, SHELL, "ComputerName") == "other"
    assert again.get(OOBE, SHELL, "UserAccounts/LocalAccounts/LocalAccount/Group") == "Users"
    assert shown(again.get(OOBE, SHELL, "UserAccounts/LocalAccounts/LocalAccount/Password/Value")) == "sesamePassword"
    top = ElementTree.fromstring(answers.encode())  # noqa: S314 - made here
    commands = list(top.iter(f"{NAMESPACE}RunSynchronousCommand"))
    assert [(each.findtext(f"{NAMESPACE}Order"), each.findtext(f"{NAMESPACE}Path")) for each in commands] == [
        ("4", "own.cmd"),
        ("5", "new.exe"),
    ]
    assert [each.get(ACTION) for each in commands] == ["add", "add"]
    assert [settings.attrib for settings in top] == [{"pass": "specialize"}, {"pass": "oobeSystem"}]
    assert len(list(top.iter(f"{NAMESPACE}LocalAccount"))) == 1


def test_new_files_name_their_components_as_windows_wants() -> None:
    answers = AnswerFile("arm64")
    answers.run("x", "y")
    [component] = ElementTree.fromstring(answers.encode()).iter(f"{NAMESPACE}component")  # noqa: S314 - made here
    assert component.attrib == {
        "name": DEPLOYMENT,
        "processorArchitecture": "arm64",
        "publicKeyToken": "31bf3856ad364e35",
        "language": "neutral",
        "versionScope": "nonSxS",
    }


def test_a_file_in_utf_16() -> None:
    text = IMAGE.replace("utf-8", "utf-16")
    for raw in (text.encode("utf-16"), text):
        assert AnswerFile.parse(raw, "amd64").get(SPECIALIZE, SHELL, "ComputerName") == "template"


def test_users_that_the_file_makes() -> None:
    answers = AnswerFile.parse(IMAGE.encode(), "amd64")
    assert (answers.makes_user("BOB"), answers.makes_user("ob")) == (True, False)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "cannot be read: no element found"),
        (b"MZ\x00\xff", "cannot be read: "),
        (HEAD.encode(), "cannot be read: no element found"),
        (b"<unattend/>", "none: its outermost element is not <unattend xmlns="),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "cannot be read: it has a document type"),
        ((HEAD + "<a>" * 100_000).encode(), "its elements are nested more than 32 deep"),
        (b'<?xml version="1.0" encoding="none"?><x/>', "cannot be read: "),
    ],
)
def test_what_is_no_answer_file(raw: bytes, why: str) -> None:
    with pytest.raises(TaskError, match=why):
        AnswerFile.parse(raw, "amd64")


@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("web1.example.com", "web1"),
        ("a-rather-long-host-name.example.com", "a-rather-long-h"),
        ("fifteen-letters-and", "fifteen-letters"),
        ("exactly-cut-at-dash", "exactly-cut-at"),
        ("12345", "vm-12345"),
        ("1234567890123456789", "vm-123456789012"),
        ("under_score", "under-score"),
        ("-x-", "x"),
    ],
)
def test_computer_names(hostname: str, name: str) -> None:
    assert computer_name(hostname) == name


@pytest.mark.parametrize("hostname", ["", ".example.com", "---", "___"])
def test_host_names_of_which_nothing_is_left(hostname: str) -> None:
    with pytest.raises(TaskError, match="no computer name can be made of the host name"):
        computer_name(hostname)
