# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A ledger's lines: none lost, none torn, none twice, no key in any of them; in a file and in a bucket."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import AccessDeniedError, AwsError, KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._ledger import local, s3
from ansible_collections.keyturn.ecs.plugins.module_utils._ledger.entries import (
    addition,
    lines,
    looking_like_keys,
    read,
)
from ansible_collections.keyturn.ecs.plugins.module_utils._ledger.ledger import CAPABILITY, INFO

KEY = "sk-proj-abcdefABCDEF0123456789"
Json = dict[str, Any]
Entries = list[Json]


# Lines


def test_lines_hold_what_was_given() -> None:
    entries = [{"b": 1, "a": ["ü\u2028", None, {"x": True}]}, {"id": 7}]
    found = lines(entries)
    assert [one.text for one in found] == ['{"b": 1, "a": ["\\u00fc\\u2028", null, {"x": true}]}', '{"id": 7}']
    assert [one.id for one in found] == [None, "7"]


def test_what_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    whole = '{"a": 1, "b": null}\r\n\n{"a": 2}\n'
    ledger = f'\ufeff{whole}[1]\n{{"a": 3'.encode() + b'\n{"a": "\xff"}\n' + b"[" * 100_000
    assert read(ledger, {}) == ([{"a": 1, "b": None}, {"a": 2}], 3)
    assert read(ledger, {"b": None}) == ([{"a": 1, "b": None}], 3)
    path = tmp_path / "ledger"
    path.write_bytes(ledger)
    result = INFO.answer({"path": str(path), "where": {"a": 2}}, check_mode=False, diff=False)
    assert result["entries"] == [{"a": 2}]
    assert result["warnings"] == [f"{path}: 3 lines are no JSON and were passed over; one may have been cut off."]
    folder = INFO.answer({"path": str(tmp_path), "where": {}}, check_mode=False, diff=False)
    assert (folder["failed"], folder["path"]) == (True, str(tmp_path))
    assert "is no regular file" in folder["msg"]


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"reason": f"leaked {KEY}"}, r"entries\[1\]\.reason holds"),
        ({"a": [{"b": KEY}]}, r"entries\[1\]\.a\[0\]\.b holds"),
        ({"a": {KEY: 1}}, r"the name of a member of entries\[1\]\.a holds"),
        ({"a": {KEY: {"b": KEY}}}, r"the name of a member of entries\[1\]\.a holds"),
    ],
)
def test_what_looks_like_a_key_is_refused(entry: Json, place: str) -> None:
    with pytest.raises(KeyturnError, match=f"^{place} what looks like an API key") as caught:
        lines([{"fine": "sk-short"}, entry])
    assert KEY not in caught.value.msg
    assert all(KEY in text for text in looking_like_keys([entry]))
    assert looking_like_keys([{"a": "sha256:0123456789ab", "b": ["risk-of-nothing-at-all-here"]}]) == set()


def test_what_is_no_json_is_refused() -> None:
    for odd in (float("nan"), {1, 2}):
        with pytest.raises(KeyturnError, match="JSON has no form for"):
            lines([{"a": odd}])


ENTRIES = st.lists(
    st.dictionaries(st.sampled_from(["id", "a"]), st.one_of(st.none(), st.integers(0, 3), st.text(max_size=2))),
    max_size=6,
)


@given(batches=st.lists(ENTRIES, max_size=4), torn=st.sampled_from([b"", b'{"id": 1', b'{"id": "\xff"}\nnull\n["id"]']))
def test_an_id_stands_in_the_ledger_once(batches: list[Entries], torn: bytes) -> None:
    """Whatever is there already, each id is there once, and each entry without one as often as it was given."""
    ledger = torn
    for batch in batches:
        added = addition(lines(batch), ledger)
        ledger += added.after(ledger[-1:]) if added.lines else b""
        assert len(added.lines) + added.already_there == len(batch)
        assert addition(lines([one for one in batch if one.get("id") is not None]), ledger).lines == ()
    written = [json.loads(line) for line in ledger[len(torn) :].split(b"\n") if line]
    given = [one for batch in batches for one in batch]
    ids = [one["id"] for one in written if one.get("id") is not None]
    assert sorted(map(repr, ids)) == sorted({repr(one["id"]) for one in given if one.get("id") is not None})
    assert [one for one in written if one.get("id") is None] == [one for one in given if one.get("id") is None]


# Files


def answer(path: object, entries: Entries, check_mode: bool = False, **options: Any) -> Json:
    """The module's result."""
    given = {**dict.fromkeys(CAPABILITY.argument_spec), "debug_botocore_endpoint_logs": False, "validate_certs": True}
    given = {**given, "path": str(path), "entries": entries, **options}
    result = CAPABILITY.answer(given, check_mode=check_mode, diff=True)
    assert KEY not in json.dumps(result)
    return result


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def test_a_file_is_made_and_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    path = tmp_path / "ledger.jsonl"
    predicted = answer(path, [{"id": 1}, {"a": 2}], check_mode=True)
    assert not path.exists()
    umask = os.umask(0)
    try:
        made = answer(path, [{"id": 1}, {"a": 2}])
    finally:
        os.umask(umask)
    assert made == predicted
    assert made == {
        "changed": True,
        "path": str(path),
        "appended": 2,
        "already_there": 0,
        "diff": {
            "before_header": str(path), "after_header": f"{path} (lines appended)",
            "before": "", "after": '{"id": 1}\n{"a": 2}\n',
        },
    }  # fmt: skip
    assert (path.read_text(), mode(path)) == ('{"id": 1}\n{"a": 2}\n', "0600")
    path.chmod(0o640)
    again = answer(path, [{"id": 1}, {"id": 3}, {"a": 2}])
    assert (again["appended"], again["already_there"], mode(path)) == (2, 1, "0640")
    assert answer(path, [{"id": 1}], check_mode=True)["changed"] is answer(path, [{"id": 1}])["changed"] is False
    assert answer(path, [])["changed"] is False
    assert path.read_text() == '{"id": 1}\n{"a": 2}\n{"id": 3}\n{"a": 2}\n'


def test_a_torn_line_stays_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"id": 1}\n{"id": 2, "to')
    assert answer(path, [{"id": 1}, {"id": 2}])["appended"] == 1
    assert path.read_text() == '{"id": 1}\n{"id": 2, "to\n{"id": 2}\n'


def test_files_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.jsonl"
    os.mkfifo(tmp_path / "pipe")
    for bad, text in ((tmp_path, "no regular file"), (tmp_path / "pipe", "no regular file"),
                      (tmp_path / "no" / "x", "there is no folder")):  # fmt: skip
        for check_mode in (True, False):
            result = answer(bad, [{}], check_mode)
            assert (result["failed"], text in result["msg"], result["path"]) == (True, True, str(bad))
    assert "looks like an API key" in answer(path, [{"a": KEY}])["msg"]
    assert os.listdir(tmp_path) == ["pipe"]
    path.write_text("")
    monkeypatch.setattr(os, "access", lambda *_: False)
    for there in (path, tmp_path / "other"):
        assert "Permission denied. Nothing was appended. Run as a user who may" in answer(there, [{}])["msg"]


def test_a_full_disk_takes_the_part_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"a": 1}\n')
    write = os.write
    left = [5]

    def full(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(local.os, "write", full)
    assert "No space left on device. Nothing was appended." in answer(path, [{"b": "x" * 100}])["msg"]
    assert path.read_text() == '{"a": 1}\n'


def test_a_lock_that_is_held_for_long(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    descriptor = local._locked(str(path), lambda _seconds: None)
    paused: list[float] = []
    with pytest.raises(KeyturnError, match=r"has held the lock of .* for 60 seconds"):
        local.append(str(path), lines([{}]), check_mode=False, pause=paused.append)
    assert local.WAIT <= sum(paused) < local.WAIT + 1
    os.close(descriptor)


def test_a_ledger_that_is_moved_away_meanwhile(tmp_path: Path) -> None:
    """The line goes to the new file, as after logrotate, not into the one that nobody reads any more."""
    path, moved = tmp_path / "ledger.jsonl", tmp_path / "ledger.jsonl.1"
    path.write_text("{}\n")
    descriptor = local._locked(str(path), lambda _seconds: None)

    def rotate(_seconds: float) -> None:
        if not moved.exists():
            path.rename(moved)
            os.close(descriptor)

    local.append(str(path), lines([{"a": 1}]), check_mode=False, pause=rotate)
    assert (path.read_text(), moved.read_text()) == ('{"a": 1}\n', "{}\n")


def test_threads_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"

    def work(writer: int) -> None:
        for number in range(100):
            answer(path, [{"id": f"{writer}-{number}"}, {"writer": writer, "text": "x" * 5000}, {"id": number}])

    _at_once(work)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(found) == 4 * 100 * 2 + 100
    assert len({one["id"] for one in found if "id" in one}) == 4 * 100 + 100


def _at_once(work: Callable[[int], None], writers: int = 4) -> None:
    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


# Buckets


def error(code: str, operation: str = "PutObject", unknown: bool = False) -> AwsError:
    return AwsError(f"s3:{operation} failed: {code}", operation=f"s3:{operation}", code=code, outcome_unknown=unknown)


class Bucket(Aws):
    """An S3 of one object with conditional writes, as :class:`Aws` answers for it.

    Args:
        before: called before the nth request is answered, from 0: another writer, or an error to raise.
        after: the same, after the request was carried out: an answer that is lost.
    """

    def __init__(
        self, before: Callable[[int, str], None] = lambda *_: None, after: Callable[[int, str], None] = lambda *_: None
    ) -> None:
        self.object: Json | None = None
        self.requests: list[str] = []
        self.paused: list[float] = []
        self._before, self._after = before, after
        self._one = threading.Lock()

    def split_known(self, *_: Any) -> tuple[Json, tuple[str, ...]]:
        return {}, ()

    def call(self, service: str, operation: str, on: str, /, **params: Any) -> Json:
        assert (service, on) == ("s3", "s3://b/a/l.jsonl")
        assert (params.pop("Bucket"), params.pop("Key")) == ("b", "a/l.jsonl")
        self.requests.append(operation)
        number = len(self.requests) - 1
        self._before(number, operation)
        with self._one:
            found = self.put(**params) if operation == "PutObject" else self.get(**params)
        self._after(number, operation)
        return found

    def get(self) -> Json:
        if self.object is None:
            raise error("NoSuchKey", "GetObject")
        return self.object

    def put(self, Body: bytes, IfMatch: str = "", IfNoneMatch: str = "", **more: Any) -> Json:  # noqa: N803
        assert bool(IfMatch) != bool(IfNoneMatch)
        if IfMatch and self.object is None:
            raise error("NoSuchKey")
        if self.object is not None and self.object["ETag"] != IfMatch:
            raise error("PreconditionFailed")
        self.object = {"Body": Body, "ETag": f'"{hash(Body)}"', **more}
        return {}

    def append(self, *entries: Json, check_mode: bool = False) -> Json:
        return s3.append(
            self,
            "s3://b/a/l.jsonl",
            lines(entries),
            check_mode=check_mode,
            pause=self.paused.append,
            uniform=lambda _low, high: high,
        )

    @property
    def text(self) -> str:
        return "" if self.object is None else self.object["Body"].decode()


def test_an_object_is_made_and_grows() -> None:
    bucket = Bucket()
    assert bucket.append({"id": 1}, check_mode=True)["appended"] == 1
    assert bucket.object is None
    made = bucket.append({"id": 1}, {"a": 2})
    assert (made["changed"], made["path"], made["appended"]) == (True, "s3://b/a/l.jsonl", 2)
    assert bucket.object is not None
    bucket.object.update(ContentType="text/plain", Metadata={**bucket.object["Metadata"], "team": "x"})
    assert bucket.append({"id": 1}, {"id": 3})["already_there"] == 1
    assert bucket.append({"id": 3})["changed"] is False
    assert bucket.text == '{"id": 1}\n{"a": 2}\n{"id": 3}\n'
    assert (bucket.object["ContentType"], bucket.object["Metadata"]["team"]) == ("text/plain", "x")
    assert bucket.paused == []


def test_another_writer_comes_first() -> None:
    """Also while the object is made, and when the entry is the other writer's, too."""

    def interfere(number: int, operation: str) -> None:
        if operation == "PutObject" and number < 12:
            found = bucket.object or {"Body": b"", "Metadata": {}}
            bucket.object = {**found, "Body": found["Body"] + b'{"n": %d}\n' % number, "ETag": f'"{number}"'}

    bucket = Bucket(before=interfere)
    assert bucket.append({"id": 1})["appended"] == 1
    assert bucket.text == "".join(f'{{"n": {number}}}\n' for number in range(1, 12, 2)) + '{"id": 1}\n'
    assert bucket.paused == [0.1, 0.2, 0.4, 0.8, 1.6, 3.0]

    def write_the_same(number: int, operation: str) -> None:
        if number == 1:
            bucket.object = {"Body": b'{"id": 1}\n', "ETag": '"x"'}

    bucket = Bucket(before=write_the_same)
    result = bucket.append({"id": 1})
    assert (result["changed"], result["already_there"], bucket.text) == (False, 1, '{"id": 1}\n')


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted", "409", "412"])
def test_a_conflict_is_tried_again(code: str) -> None:
    def conflict(number: int, operation: str) -> None:
        if operation == "PutObject" and number < 4:
            raise error(code)

    bucket = Bucket(before=conflict)
    assert bucket.append({"a": 1})["changed"] is True
    assert (bucket.text, len(bucket.paused)) == ('{"a": 1}\n', 2)


def test_an_object_that_is_removed_meanwhile() -> None:
    def remove(number: int, operation: str) -> None:
        if number == 3:
            bucket.object = None

    bucket = Bucket(before=remove)
    bucket.append({"a": 1})
    bucket.append({"a": 2})
    assert bucket.text == '{"a": 2}\n'


@pytest.mark.parametrize("others", [0, 10])
@pytest.mark.parametrize("code", ["ReadTimeoutError", "PreconditionFailed"])
def test_a_write_whose_answer_is_lost_is_not_repeated(code: str, others: int) -> None:
    """No answer came; or botocore has sent the request again, and its own first one was in the way.

    Others have written meanwhile.
    """

    def lose(number: int, operation: str) -> None:
        if number == 1:
            for other in range(others):
                bucket.append({"other": other})
            raise error(code, unknown=code == "ReadTimeoutError")

    bucket = Bucket(after=lose)
    result = bucket.append({"a": 1})
    assert (result["changed"], result["appended"]) == (True, 1)
    assert bucket.text.count('{"a": 1}\n') == 1
    assert bucket.text.count("\n") == 1 + others


def test_a_write_that_was_not_carried_out() -> None:
    def lose(number: int, operation: str) -> None:
        if operation == "PutObject":
            raise error("ReadTimeoutError", unknown=True)

    bucket = Bucket(before=lose)
    with pytest.raises(AwsError, match="ReadTimeoutError"):
        bucket.append({"a": 1})
    assert bucket.requests == ["GetObject", "PutObject", "GetObject"]


def test_it_gives_up_when_others_write_all_the_time() -> None:
    def conflict(number: int, operation: str) -> None:
        if operation == "PutObject":
            raise error("PreconditionFailed")

    bucket = Bucket(before=conflict)
    with pytest.raises(KeyturnError, match=r"Others have written s3://b/a/l.jsonl between each of 40 times"):
        bucket.append({"a": 1})
    assert bucket.requests.count("PutObject") == s3.ATTEMPTS
    assert sum(bucket.paused) < 120


def test_other_errors_are_told() -> None:
    def refuse(number: int, operation: str) -> None:
        if operation == "GetObject":
            raise AccessDeniedError("denied.", permission="s3:GetObject", operation="s3:GetObject", code="AccessDenied")

    with pytest.raises(AccessDeniedError) as caught:
        Bucket(before=refuse).append({})
    assert caught.value.msg.startswith("denied. S3 says the same of an object that is not there unless s3:ListBucket")

    def missing(number: int, operation: str) -> None:
        raise error("NoSuchBucket", operation)

    with pytest.raises(AwsError, match="NoSuchBucket"):
        Bucket(before=missing).append({})
    for path in ("s3://", "s3://bucket", "s3://bucket/", "s3:///key", "s3://bucket/folder/"):
        with pytest.raises(KeyturnError, match="names no object: give s3://BUCKET/KEY"):
            s3.Place.parse(path)
    assert s3.Place.parse("s3://b/a/#?%2F l") == s3.Place("b", "a/#?%2F l")


def test_an_old_botocore_is_refused() -> None:
    """It would leave the condition out."""
    bucket = Bucket()
    bucket.split_known = lambda *_: ({}, ("IfMatch",))  # type: ignore[method-assign]
    with pytest.raises(KeyturnError, match=r"does not know IfMatch of s3:PutObject.*upgrade boto3 to 1\.35\.69"):
        bucket.append({})
    assert bucket.requests == []


def test_threads_at_once_in_a_bucket() -> None:
    bucket = Bucket()

    def work(writer: int) -> None:
        for number in range(50):
            bucket.append({"id": f"{writer}-{number}"}, {"writer": writer}, {"id": number})

    _at_once(work)
    found = [json.loads(line) for line in bucket.text.splitlines()]
    assert len(found) == 4 * 50 * 2 + 50
    assert len({one["id"] for one in found if "id" in one}) == 4 * 50 + 50


def test_a_bucket_needs_a_region_and_a_file_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    assert "No AWS Region is known" in answer("s3://b/k", [{}])["msg"]
    assert answer(tmp_path / "x", [{}])["changed"] is True
