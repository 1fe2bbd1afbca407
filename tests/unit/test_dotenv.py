# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`.env` files: python-dotenv itself says what they mean; every byte that is not the value stays; no value is left."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dotenv
import pytest
from dotenv.parser import parse_stream
from hypothesis import example, given, reject
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._dotenv import file as env_file
from ansible_collections.keyturn.ecs.plugins.module_utils._dotenv import value as env_value
from ansible_collections.keyturn.ecs.plugins.module_utils._dotenv.text import edit, quote, statements
from ansible_collections.keyturn.ecs.plugins.module_utils._dotenv.value import set_value
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint

VARIABLE = "OPENAI_API_KEY"
OLD, NEW = "sk-proj-oldOLD0123456789abcdefghij", "sk-proj-newNEW9876543210zyxwvutsrq"
Json = dict[str, Any]


def edited(text: str, value: str = NEW, add: bool = True) -> str:
    return edit(".env", text, VARIABLE, value, add=add).text


def read(text: str, interpolate: bool = False) -> dict[str, str | None]:
    """What python-dotenv reads from a file with this text."""
    universal = io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogateescape")), "utf-8", "surrogateescape")
    return dict(dotenv.dotenv_values(stream=universal, interpolate=interpolate))


# What is replaced, and what stays


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{VARIABLE}={OLD}\n", f"{VARIABLE}={NEW}\n"),
        (f"{VARIABLE}={OLD}", f"{VARIABLE}={NEW}"),
        (f"  export  {VARIABLE} =  {OLD}  \n", f"  export  {VARIABLE} =  {NEW}  \n"),
        (f'{VARIABLE}="{OLD}"\n', f"{VARIABLE}={NEW}\n"),
        (f"A=1\r\n{VARIABLE}='{OLD}' # mine\r\nB=2\r\n", f"A=1\r\n{VARIABLE}={NEW} # mine\r\nB=2\r\n"),
        (f"{VARIABLE}={OLD} # mine\n", f"{VARIABLE}={NEW} # mine\n"),
        (f"{VARIABLE}={OLD}#not-a-comment\n", f"{VARIABLE}={NEW}\n"),
        (f"{VARIABLE}='{OLD}'# glued\n", f"{VARIABLE}='{NEW}'# glued\n"),
        (f"{VARIABLE}= # empty\n", f"{VARIABLE}={NEW} # empty\n"),
        (f"{VARIABLE}=\n", f"{VARIABLE}={NEW}\n"),
        (f"{VARIABLE}", f"{VARIABLE}={NEW}"),
        (f"{VARIABLE} # none yet\n", f"{VARIABLE}={NEW} # none yet\n"),
        (f"'{VARIABLE}'='{OLD}'\n", f"'{VARIABLE}'={NEW}\n"),
        (f'{VARIABLE}="-----\nold\r\n-----" # pem\nB=2', f"{VARIABLE}={NEW} # pem\nB=2"),
        (f"{VARIABLE}={OLD}\nB=2\nexport {VARIABLE}='older'\n", f"{VARIABLE}={NEW}\nB=2\nexport {VARIABLE}={NEW}\n"),
        (f"\ufeff{VARIABLE}={OLD}\n", f"\ufeff{VARIABLE}={NEW}\n"),
        (f"{VARIABLE}={OLD}\rB=2\r", f"{VARIABLE}={NEW}\rB=2\r"),
        (f"#{VARIABLE}={OLD}\n{VARIABLE}_2=x\nMY_{VARIABLE}=y\n{VARIABLE}=z",
         f"#{VARIABLE}={OLD}\n{VARIABLE}_2=x\nMY_{VARIABLE}=y\n{VARIABLE}={NEW}"),
        (f"A='\n{VARIABLE}=in a text\n'\n{VARIABLE}=z\n", f"A='\n{VARIABLE}=in a text\n'\n{VARIABLE}={NEW}\n"),
        # one line more
        ("", f"{VARIABLE}={NEW}\n"),
        ("\ufeff", f"\ufeff{VARIABLE}={NEW}\n"),
        ("A=1", f"A=1\n{VARIABLE}={NEW}\n"),
        ("A=1\r\n# end", f"A=1\r\n# end\r\n{VARIABLE}={NEW}\r\n"),
        ("A='1\n", f"A='1\n{VARIABLE}={NEW}\n"),
        ("no assignment at all\n", f"no assignment at all\n{VARIABLE}={NEW}\n"),
        # what cannot be read
        (f"{VARIABLE}='{OLD}\n", None),
        (f'{VARIABLE}="{OLD}" {OLD}\n', None),
        (f"{VARIABLE} {OLD}\n", None),
    ],
)  # fmt: skip
def test_the_value_changes_and_nothing_else(before: str, after: str | None) -> None:
    if after is None:
        with pytest.raises(KeyturnError, match=r"line 1 .*cannot be read.*[Mm]end") as caught:
            edited(before)
        assert OLD not in str(caught.value) and NEW not in str(caught.value)
        return
    assert edited(before) == after
    assert edited(after) == after
    assert read(after)[VARIABLE] == NEW


def test_a_quote_that_the_new_line_would_close() -> None:
    """The new line's quote would end the open one's text, and both would be read as something else."""
    with pytest.raises(KeyturnError, match=r"OPENAI_API_KEY cannot be set .* since line 2 cannot be read"):
        edited("A=1\nB='open\n", "needs 'no' quotes")
    with pytest.raises(KeyturnError, match="since line 2 cannot be read"):
        edited("A=1\nB='open\n", "needs quotes")


def test_a_value_that_is_right_keeps_its_quotes() -> None:
    for text in (f"{VARIABLE}='{NEW}'\n", f'{VARIABLE} = "{NEW}"', f"{VARIABLE}={NEW}   # c\r\n"):
        assert edited(text) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (NEW, NEW),
        ("two words", "'two words'"),
        ("a#b", "'a#b'"),
        ("$HOME", "'$HOME'"),
        ("it's", '"it\'s"'),
        ('say "hi"', "'say \"hi\"'"),
        ("back\\slash", "'back\\slash'"),
        ("ends\\", '"ends\\\\"'),
        ("double\\\\", '"double\\\\\\\\"'),
        ("a\nb\r\nc", '"a\\nb\\r\\nc"'),
        ("tab\t.", "'tab\t.'"),
        ("${HOME}", "'${:-$}{HOME}'"),
        ("${open", "'${open'"),
        ("é", "'é'"),
    ],
)
def test_quotes(value: str, written: str) -> None:
    assert quote(value) == written


# python-dotenv as the judge

AWKWARD = list("#$'\"\\ \n\r\t=:{}-%é\u2028\x85\xa0aZ0")
VALUES = st.one_of(
    st.text(st.sampled_from(AWKWARD), min_size=1, max_size=12),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30),
)
LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                f"{VARIABLE}={OLD}", f"export {VARIABLE} = '{OLD}'  # c", f'{VARIABLE}="a\\"b\\n" #', f"{VARIABLE}",
                f"{VARIABLE}=", f"{VARIABLE}='x\ny'", "", "   ", "# comment = 'x", "A=1", "B='two\nlines'", 'C="\\t$x"',
                "export D=e # f", "E", "F = g#h", "no assignment at all", "G='x' y", "='z'", "H=\u2028", "I=${A}",
            ]
        ),
        st.lists(st.sampled_from([*"#$'\"\\ =AB\n\r", "export ", VARIABLE]), max_size=10).map("".join),
    ),
    max_size=8,
)  # fmt: skip


@given(text=LINES, newline=st.sampled_from(["\n", "\r\n"]), bom=st.booleans(), ended=st.booleans(), value=VALUES)
@example(text=[], newline="\n", bom=False, ended=False, value="${${A:-b}}${:-$}")
@example(text=["A=1"], newline="\n", bom=False, ended=False, value="${a${:-$}")
def test_python_dotenv_reads_the_value_and_everything_else_as_before(
    text: list[str], newline: str, bom: bool, ended: bool, value: str
) -> None:
    before = ("\ufeff" if bom else "") + newline.join(text) + (newline if ended else "")
    try:
        after = edited(before, value)
    except KeyturnError:
        # Refused only where a line cannot be read; test_the_refusals_of_the_property_are_few
        assert any(one.error for one in parse_stream(io.StringIO(before)))
        reject()
    assert read(after, interpolate=True)[VARIABLE] == value
    others = [{name: value for name, value in read(one).items() if name != VARIABLE} for one in (before, after)]
    assert others[0] == others[1]
    assert edited(after, value) == after
    if VARIABLE not in read(before):
        assert after.startswith(before)


@given(text=st.one_of(LINES.map("\n".join), LINES.map("\r\n".join)))
def test_statements_are_those_of_python_dotenv(text: str) -> None:
    stream = io.StringIO(io.StringIO(text, newline=None).read())
    theirs = [(one.key, one.value, not one.error) for one in parse_stream(stream) if one.key is not None or one.error]
    ours = [(one.name if one.readable else None, one.value, one.readable) for one in statements(text)]
    assert ours == theirs


def test_the_refusals_of_the_property_are_few() -> None:
    """What the property above passes over is what cannot be read, not what is merely unusual."""
    for text in ("no assignment at all\n", "G='x' y\n", "='z'\n", "# it's\n", "A=it's\n"):
        assert read(edited(text, "it's\n${A}"), interpolate=True)[VARIABLE] == "it's\n${A}"


# The file


def run(path: Path, *, check_mode: bool = False, **options: Any) -> Json:
    """The module's function; nothing that it returns holds a value."""
    given = {"path": str(path), "variable": VARIABLE, "value": NEW, "create": False, "if_missing": "add", **options}
    try:
        result = set_value(given, check_mode=check_mode)
    except KeyturnError as error:
        result = {**error.result, "msg": error.msg, "failed": True}
    assert OLD not in json.dumps(result) and given["value"] not in json.dumps(result)
    return result


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.lstat().st_mode):04o}"


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_bytes(b"# caf\xe9\r\nA=1\r\n%s='%s' # mine" % (VARIABLE.encode(), OLD.encode()))
    path.chmod(0o644)
    return path


def test_a_file_is_changed_once(env: Path) -> None:
    wanted = b"# caf\xe9\r\nA=1\r\n%s=%s # mine" % (VARIABLE.encode(), NEW.encode())
    content, inode = env.read_bytes(), env.stat().st_ino
    predicted = run(env, check_mode=True)
    assert (env.read_bytes(), env.stat().st_ino, mode(env)) == (content, inode, "0644")
    result = run(env)
    assert result == predicted
    assert result == {
        "changed": True,
        "path": str(env),
        "variable": VARIABLE,
        "fingerprint": fingerprint(VARIABLE, NEW),
        "previous_fingerprint": fingerprint(VARIABLE, OLD),
        "mode": "0600",
        "warnings": [],
        "diff": {
            "before": {
                "path": str(env), "mode": "0644", "fingerprints": {VARIABLE: [fingerprint(VARIABLE, OLD)]},
            },
            "after": {"path": str(env), "mode": "0600", "fingerprints": {VARIABLE: [fingerprint(VARIABLE, NEW)]}},
        },
    }  # fmt: skip
    assert (env.read_bytes(), mode(env)) == (wanted, "0600")
    inode = env.stat().st_ino
    again = run(env)
    assert (again["changed"], again["previous_fingerprint"]) == (False, result["fingerprint"])
    assert (env.stat().st_ino, os.listdir(env.parent)) == (inode, [".env"])


def test_a_wider_mode_alone_is_a_change(env: Path) -> None:
    run(env)
    env.chmod(0o640)
    assert run(env, check_mode=True)["changed"] is True
    assert mode(env) == "0640"
    assert (run(env)["changed"], mode(env)) == (True, "0600")
    env.chmod(0o400)
    if os.geteuid() == 0:
        result = run(env)
        assert (result["changed"], result["mode"], mode(env)) == (False, "0400", "0400")


def test_a_link_stays_and_leads_to_the_new_file(env: Path, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    link = tmp_path / "app" / ".env"
    link.symlink_to("../.env")
    assert run(link)["changed"] is True
    assert (os.readlink(link), NEW in env.read_text("latin-1"), mode(env)) == ("../.env", True, "0600")
    assert os.listdir(link.parent) == [".env"]


def test_missing(env: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "other.env"
    assert "There is no file" in run(nowhere)["msg"]
    assert run(nowhere) == run(nowhere, check_mode=True)
    assert run(nowhere, create=True, if_missing="ignore")["mode"] is None
    assert "does not set" in run(nowhere, create=True, if_missing="fail")["msg"]
    assert run(nowhere, create=True, check_mode=True)["changed"] is True
    assert not nowhere.exists()
    umask = os.umask(0)
    try:
        made = run(nowhere, create=True)
    finally:
        os.umask(umask)
    assert (made["changed"], made["previous_fingerprint"], mode(nowhere)) == (True, None, "0600")
    assert nowhere.read_text() == f"{VARIABLE}={NEW}\n"
    assert "there is no folder" in run(tmp_path / "no" / ".env", create=True)["msg"]

    content = env.read_bytes()
    assert "does not set NOT_THERE: correct variable" in run(env, variable="NOT_THERE", if_missing="fail")["msg"]
    ignored = run(env, variable="NOT_THERE", if_missing="ignore")
    assert (ignored["changed"], ignored["fingerprint"], ignored["mode"]) == (False, None, "0644")
    assert (env.read_bytes(), mode(env)) == (content, "0644")
    assert run(env, variable="NOT_THERE")["changed"] is True
    assert env.read_bytes() == content + b"\r\nNOT_THERE=" + NEW.encode() + b"\r\n"


def test_refusals(env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = env.read_bytes()
    assert "is a directory: give the path" in run(tmp_path)["msg"]
    os.mkfifo(tmp_path / "pipe")
    assert "is no regular file" in run(tmp_path / "pipe")["msg"]
    (tmp_path / "utf16").write_bytes(f"{VARIABLE}={OLD}".encode("utf-16"))
    assert "holds NUL bytes" in run(tmp_path / "utf16")["msg"]
    (tmp_path / "loop").symlink_to("loop")
    assert "mend it" in run(tmp_path / "loop")["msg"]
    assert "path" in run(env / "x")["msg"]
    os.link(env, tmp_path / "second")
    assert "has another name" in run(env)["msg"]
    (tmp_path / "second").unlink()
    for options in ({"variable": "A B"}, {"value": ""}, {"value": "a\0b"}, {"value": "a\udcffb"}):
        with pytest.raises(KeyturnError, match=r"^(variable|value) "):
            set_value({"path": str(env), "variable": VARIABLE, "value": NEW, "create": False, "if_missing": "add",
                       **options}, check_mode=False)  # fmt: skip
    (tmp_path / ".env.keyturn-new").symlink_to("elsewhere")
    assert "is a symbolic link" in run(env)["msg"]
    (tmp_path / ".env.keyturn-new").unlink()
    os.link(tmp_path / "utf16", tmp_path / ".env.keyturn-new")
    assert "made by somebody else" in run(env)["msg"]
    (tmp_path / ".env.keyturn-new").unlink()
    monkeypatch.setattr(os, "access", lambda path, mode: os.path.isdir(path))
    assert "may not be read and written by this user" in run(env)["msg"]
    monkeypatch.setattr(os, "access", lambda path, mode: not os.path.isdir(path))
    assert "may not be written, which replacing a file needs" in run(env)["msg"]
    assert env.read_bytes() == content


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(env: Path) -> None:
    os.chown(env, 12345, 23456)
    assert run(env)["changed"] is True
    assert (env.stat().st_uid, env.stat().st_gid, mode(env)) == (12345, 23456, "0600")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        moved = Path(shutil.move(env, folder))
        os.chown(moved, 12345, 23456)
        as_somebody_else = _process(_script(moved, before=_user(54321)))
        assert "belongs to user 12345, who would lose it" in as_somebody_else.stderr
        as_the_owner = _process(_script(moved, "sk-other", before=_user(12345, 34567)))
        assert (as_the_owner.stderr, moved.stat().st_uid, moved.stat().st_gid) == ("", 12345, 34567)
        assert os.listdir(folder) == [".env"]


def test_a_failed_write_leaves_nothing(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = env.read_bytes()

    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(env_file.os, "replace", busy)
    assert "It is mounted by itself" in run(env)["msg"]
    assert (env.read_bytes(), os.listdir(env.parent)) == (content, [".env"])


def test_a_warning_for_what_only_python_dotenv_reads(env: Path) -> None:
    (warning,) = run(env, value="pa${ss}word")["warnings"]
    assert "python-dotenv" in warning
    assert dotenv.dotenv_values(env, encoding="latin-1")[VARIABLE] == "pa${ss}word"
    assert run(env, value="pa${ss}word")["warnings"] == []
    env.write_text(f"A=1\n{VARIABLE}=${{A}}\n")
    assert run(env)["previous_fingerprint"] is None


# Runs that are killed, and runs at once


def _user(user: int, group: int = 23456) -> str:
    """Go on as another user."""
    return f"os.setegid({group}); os.seteuid({user})"


# The folder above ansible_collections: what is killed cleans nothing up, so it makes none of its own.
TREE = Path(str(env_value.__file__)).parents[6]


def _script(path: Path, value: str = NEW, variable: str = VARIABLE, before: str = "") -> str:
    """A process that sets the value."""
    options = {"path": str(path), "variable": variable, "value": value, "create": False, "if_missing": "add"}
    return (
        f"import os, signal, sys; sys.path[:0] = {[str(TREE)]!r}\n"
        f"from {env_value.__name__} import set_value\n"
        f"{before}\n"
        f"set_value({options!r}, check_mode=False)\n"
    )


def _process(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("call", ["fsync", "fchown", "replace"])
def test_a_killed_run_is_cleaned_up_by_the_next(env: Path, call: str) -> None:
    content, left = env.read_bytes(), env.with_name(".env.keyturn-new")
    killed = _process(_script(env, before=f"os.{call} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"))
    assert killed.returncode == -signal.SIGKILL
    assert (env.read_bytes(), mode(left)) == (content, "0600")
    assert NEW.encode() in left.read_bytes()
    left.write_bytes(left.read_bytes() * 2)  # as of a file that was longer
    other = "sk-proj-other0123456789abcdefghij"
    assert run(env, value=other)["changed"] is True
    assert env.read_bytes() == content.replace(f"'{OLD}'".encode(), other.encode())
    assert (os.listdir(env.parent), NEW.encode() in env.read_bytes()) == ([".env"], False)
    left.write_text(NEW)
    assert run(env, value=other, check_mode=True)["changed"] is False
    assert left.exists()
    assert run(env, value=other)["changed"] is False
    assert os.listdir(env.parent) == [".env"]


def test_runs_at_once_lose_nothing(env: Path) -> None:
    """Each sets a variable of its own in one file, again and again."""

    def work(number: int) -> None:
        for turn in range(20):
            run(env, variable=f"V{number}", value=f"value-{number}-{turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    read_back = dotenv.dotenv_values(env, encoding="latin-1")
    assert {name: value for name, value in read_back.items() if name.startswith("V")} == {
        f"V{number}": f"value-{number}-19" for number in range(4)
    }
    assert os.listdir(env.parent) == [".env"]


def test_a_run_that_another_one_holds_up(env: Path) -> None:
    given = {"path": str(env), "variable": VARIABLE, "value": NEW, "create": False, "if_missing": "add"}
    paused: list[float] = []
    with (
        env_file.temporary(str(env), str(env)),
        pytest.raises(KeyturnError, match=r"another run has held .* Run again"),
    ):
        set_value(given, check_mode=False, pause=paused.append)
    assert env_file.WAIT <= sum(paused) < env_file.WAIT + 1
    assert os.listdir(env.parent) == [".env"]


@contextlib.contextmanager
def _watched(folder: Path) -> Iterator[set[str]]:
    """The modes of every file that appears in a folder meanwhile."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for path in folder.glob("*.keyturn-new"):
                with contextlib.suppress(FileNotFoundError):
                    seen.add(mode(path))
            time.sleep(0)

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    over.set()
    thread.join()


def test_the_temporary_file_is_never_open_to_others(env: Path) -> None:
    umask = os.umask(0)
    try:
        with _watched(env.parent) as seen:
            for turn in range(50):
                run(env, value=f"value-number-{turn}")
    finally:
        os.umask(umask)
    assert seen <= {"0600"}
