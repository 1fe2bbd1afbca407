# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of a ``.env`` file: which characters set a variable, and how a value is written. Pure functions.

Statements are read as python-dotenv 1.2 reads them (https://github.com/theskumar/python-dotenv, src/dotenv/parser.py):
what it takes for a value is a value here, what it cannot read cannot be read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .._errors import KeyturnError

_BLANKS = re.compile(r"[^\S\r\n]*")
_WHITE = re.compile(r"\s*")
_EXPORT = re.compile(r"(?:export[^\S\r\n]+)?")
_BARE_NAME = re.compile(r"([^=#\s]+)")
_QUOTED_NAME = re.compile(r"'([^']+)'")
_QUOTED = {
    "'": re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL),
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
}
_COMMENT = re.compile(r"(?:[^\S\r\n]*#[^\r\n]*)?")
_END_OF_LINE = re.compile(r"[^\S\r\n]*(?:\r\n|\r|\n|\Z)")
_TO_END_OF_LINE = re.compile(r"[^\r\n]*")
_NEWLINE = re.compile(r"\r\n|\r|\n")

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPED = {"'": re.compile(r"\\([\\'])"), '"': re.compile(r"\\([\\'\"abfnrtv])")}

# Read alike unquoted by every dotenv there is, and by a shell.
_BARE_VALUE = re.compile(r"[A-Za-z0-9_./:@%+,-]+")
# Read alike between single quotes: no quote, no control character, no backslash that would escape.
_SINGLE_VALUE = re.compile(r"(?:[^'\\\x00-\x08\x0a-\x1f\x7f]|\\(?![\\']|\Z))+")
_TO_ESCAPE = {"\\": "\\\\", '"': '\\"', **{char: f"\\{letter}" for letter, char in _ESCAPES.items()}}

# python-dotenv puts another variable's value for these, in every kind of quotes.
_REFERENCE = re.compile(r"\$\{[^}:]*(?::-[^}]*)?\}")
# A reference to the variable without a name, which nobody has, else "$": the one way to write "${" for python-dotenv.
_DOLLAR = "${:-$}"

BOM = "\ufeff"


@dataclass(frozen=True)
class Statement:
    """One statement of the file that python-dotenv reads, or fails to read.

    Attributes:
        name: the variable; None for a line that cannot be read and whose variable cannot be told.
        value: as it is written, quotes and escapes taken away; None where there is no ``=``.
        readable: False where python-dotenv passes over it.
        line: where its name stands, from 1.
        start, end: the characters that a new value replaces.
        before: what has to stand before a new value: ``=`` where there is none.
    """

    name: str | None
    value: str | None = field(default=None, repr=False)
    readable: bool = True
    line: int = 0
    start: int = 0
    end: int = 0
    before: str = ""

    @property
    def plain(self) -> str | None:
        """The value that python-dotenv gives to the program; None where that hangs on other variables."""
        return None if self.value is None else _without_references(self.value)


@dataclass(frozen=True)
class Edited:
    """A text with the variable's new value.

    Attributes:
        text: all of it.
        before: the statements that set the variable until now.
        found: whether there was one.
    """

    text: str = field(repr=False)
    before: tuple[Statement, ...]

    @property
    def found(self) -> bool:
        return bool(self.before)


def edit(path: str, text: str, variable: str, value: str, *, add: bool) -> Edited:
    """Give every statement that sets the variable the value, and leave every other character as it is.

    Args:
        path: the file's, for messages.
        add: append a line where no statement sets the variable.

    Raises:
        KeyturnError: a line that names the variable cannot be read, or the file would be read differently elsewhere.
    """
    old = list(statements(text))
    mine = tuple(statement for statement in old if statement.name == variable)
    for statement in mine:
        if not statement.readable:
            raise KeyturnError(
                f"{path}: line {statement.line} names {variable} and cannot be read: a quote is not closed, or "
                "something follows the value. Mend the line, or remove it, and run again."
            )
    changed = text
    for statement in reversed(mine):
        if statement.plain != value:
            changed = changed[: statement.start] + _replacement(text, statement, value) + changed[statement.end :]
    if not mine and add:
        changed = _appended(text, f"{variable}={quote(value)}")
    if changed != text:
        _prove(path, old, changed, variable, value)
    return Edited(changed, mine)


def quote(value: str, *, bare: bool = True) -> str:
    """Write a value so that dotenv reads it: unquoted where that is safe, else single quotes, else double quotes.

    Args:
        bare: False where what follows would be taken for a part of an unquoted value.
    """
    text = value.replace("${", _DOLLAR + "{") if has_reference(value) else value
    if bare and _BARE_VALUE.fullmatch(text):
        return text
    if _SINGLE_VALUE.fullmatch(text):
        return f"'{text}'"
    return '"' + "".join(_TO_ESCAPE.get(char, char) for char in text) + '"'


def has_reference(value: str) -> bool:
    """Whether python-dotenv would take a part of the value for another variable's name."""
    return _REFERENCE.search(value) is not None


def statements(text: str) -> Iterator[Statement]:
    """Every statement, in order; comments and empty lines are none."""
    at = len(BOM) if text.startswith(BOM) else 0
    line, counted = 1, 0
    while True:
        at = _after(_WHITE, text, at)
        if at == len(text):
            return
        line, counted = line + len(_NEWLINE.findall(text, counted, at)), at
        statement, at = _statement(text, at, line)
        if statement is not None:
            yield statement


def _statement(text: str, at: int, line: int) -> tuple[Statement | None, int]:
    """The statement that begins at a character, and where the next one may begin."""
    at = _after(_EXPORT, text, at)
    if text[at : at + 1] == "#":
        return None, _after(_TO_END_OF_LINE, text, at)
    named = (_QUOTED_NAME if text[at : at + 1] == "'" else _BARE_NAME).match(text, at)
    if named is None:
        return Statement(None, readable=False, line=line), _after(_TO_END_OF_LINE, text, at)
    name, end = _NEWLINE.sub("\n", named[1]), named.end()
    at = _after(_BLANKS, text, end)
    if text[at : at + 1] == "=":
        statement, at = _assignment(text, at + 1, name, line)
    else:
        statement = Statement(name, line=line, start=end, end=end, before="=")
    ended = _END_OF_LINE.match(text, _after(_COMMENT, text, at))
    if statement is None or ended is None:
        return Statement(name, readable=False, line=line), _after(_TO_END_OF_LINE, text, at)
    return statement, ended.end()


def _assignment(text: str, equals: int, name: str, line: int) -> tuple[Statement | None, int]:
    """What stands behind ``=``, and the character behind it; None for a quote that is not closed."""
    start = _after(_BLANKS, text, equals)
    first = text[start : start + 1]
    if first in ("", "\r", "\n") or (first == "#" and start > equals):
        return Statement(name, "", line=line, start=equals, end=equals), start
    if first in _QUOTED:
        quoted = _QUOTED[first].match(text, start)
        if quoted is None:
            return None, start
        return Statement(name, _unescaped(quoted[1], first), line=line, start=start, end=quoted.end()), quoted.end()
    end = _after(_TO_END_OF_LINE, text, start)
    value = re.split(r"\s+#", text[start:end], maxsplit=1)[0].rstrip()
    return Statement(name, value, line=line, start=start, end=start + len(value)), end


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a pattern that matches nothing, too, ends."""
    match = pattern.match(text, at)
    return at if match is None else match.end()


def _unescaped(written: str, mark: str) -> str:
    """What stands between quotes; python-dotenv reads every newline as a line feed."""
    return _ESCAPED[mark].sub(lambda match: _ESCAPES.get(match[1], match[1]), _NEWLINE.sub("\n", written))


def _without_references(written: str) -> str | None:
    """The value without our way to write ``$``; None where there are references to other variables."""
    if any(match[0] != _DOLLAR for match in _REFERENCE.finditer(written)):
        return None
    return _REFERENCE.sub("$", written)


def _replacement(text: str, statement: Statement, value: str) -> str:
    """The value with quotes where what follows is no white space: an inline comment glued to the old quotes."""
    following = text[statement.end : statement.end + 1]
    return statement.before + quote(value, bare=not following or following.isspace())


def _appended(text: str, line: str) -> str:
    """The text with one line more, ended as its first line is."""
    found = _NEWLINE.search(text)
    newline = found[0] if found else "\n"
    unended = text.removeprefix(BOM) and text[-1] not in "\r\n"
    return f"{text}{newline if unended else ''}{line}{newline}"


def _prove(path: str, old: list[Statement], changed: str, variable: str, value: str) -> None:
    """Read the new text, and compare with what was wanted."""
    new = list(statements(changed))
    mine = [statement for statement in new if statement.name == variable]
    if mine and all(statement.readable and statement.plain == value for statement in mine):
        others = [[_meaning(statement) for statement in found if statement.name != variable] for found in (old, new)]
        if others[0] == others[1]:
            return
    broken = [statement.line for statement in old if not statement.readable]
    where = f"line {broken[-1]} cannot be read: a quote is not closed" if broken else "its quotes do not match up"
    raise KeyturnError(
        f"{path}: {variable} cannot be set without changing what other lines mean, since {where}. Nothing was written. "
        "Mend the file and run again."
    )


def _meaning(statement: Statement) -> tuple[str | None, str | None, bool]:
    return statement.name, statement.value, statement.readable
