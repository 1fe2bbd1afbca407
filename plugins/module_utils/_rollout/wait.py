# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of ``ecs_rollout_wait``: poll until there is a verdict on every rollout, and make results of them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from .._aws import Aws
from .._ecs import SERVICES_BATCH, last_part
from .._errors import AwsError, KeyturnError
from .diagnose import Finding, diagnose
from .evidence import gather
from .judge import FAILED, SUCCEEDED, TIMED_OUT, Limits, Verdict, judge, near_the_end, next_by_time, progress
from .observe import Observer
from .snapshot import History, Snapshot, Target
from .together import Reads

Progress = Callable[[str], None]

# No task is up sooner than some seconds after the deployment began; near the end every second is one of delay.
START_INTERVAL = 2.5
FIRST_INTERVAL = 2.0
GROWTH = 2.5
# The part of a pause after which a rollout is looked at along with others of its cluster.
SOON = 0.5
LONGEST = 31_536_000  # seconds


@dataclass(frozen=True)
class Clock:
    """Time and chance, passed in by tests.

    ``now`` is monotonic seconds, ``jitter`` a factor around 1, ``epoch`` seconds since 1970.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = field(default=lambda: random.uniform(0.85, 1.15))
    epoch: Callable[[], float] = time.time


class Watch:
    """One rollout that is waited for. ``due`` is when to look again, seconds since the wait began."""

    def __init__(
        self, aws: Aws, reads: Reads, wanted: Mapping[str, Any], limits: Limits, say: Progress, *, clock: Clock
    ) -> None:
        self.cluster: str = wanted["cluster"]
        self.service: str = wanted["service"]
        self._reads = reads
        self.observer = Observer(aws, reads, self.cluster, self.service, clock.epoch)
        self._limits = limits
        self._say = say
        self._line = ""
        self._near: tuple[bool, ...] = ()
        self._interval = START_INTERVAL / GROWTH
        self._aws = aws
        self._history = History()
        self._wanted = (wanted.get("deployment_id") or "", wanted.get("task_definition") or "")
        self.target = Target(last_part(wanted["cluster"]), last_part(wanted["service"]), *self._wanted)
        self._seen = Snapshot(0.0, None, None, None, None)
        self.verdict = Verdict("", "")
        self.due = 0.0
        self._looked_at = 0.0
        self.begun = False
        self._unwatched = False

    def waited(self, at: float) -> float:
        """The part of the pause that is over: 1 when it is due."""
        return 1.0 if at >= self.due else (at - self._looked_at) / (self.due - self._looked_at)

    def poll(self, at: float, clock: Clock, poll_interval: float) -> None:
        """Look once more, and say when to look again: soon when the end came near, else later than the last time.

        Raises:
            KeyturnError: there is no such service, it cannot be read, or ECS deploys nothing there.
        """
        began = clock.now()
        # Looked at before it is due, it is not left alone for longer than if it had not been.
        growth = 1.0 + (GROWTH - 1.0) * self.waited(at)
        try:
            self._judge(at)
            if self.verdict.over and self.verdict.status not in SUCCEEDED:
                # A bad ending is told only from everything that can be seen, and from nothing that was seen before.
                self._reads.anew()
                self._judge(at, full=True)
        except AwsError as error:
            # The rollout goes on without us: a lost connection is no reason to call it failed.
            if not error.transient or not self.begun:
                raise
            at += clock.now() - began
            self._tell(f"cannot be read at the moment, still waiting ({error.code})", at)
            if at >= self._limits.timeout:
                late = f"not over after {self._limits.timeout:g} s, and cannot be read: {error.msg}"
                self.verdict, self._seen = Verdict(TIMED_OUT, late), replace(self._seen, at=at)
        else:
            self._tell(progress(self._seen, self.target), at)
        before, self._near = self._near, near_the_end(self._seen, self.target)
        nearer = self._near != before if before else any(self._near)
        self._interval = FIRST_INTERVAL if nearer else self._interval * growth
        pause = min(self._interval, poll_interval) * clock.jitter()
        self._looked_at = at
        self.due = min(at + pause, next_by_time(at, self._seen, self._history, self.target, self._limits))

    def give_up(self, error: KeyturnError, at: float) -> None:
        """Tell of a rollout that it cannot be watched; it goes on, and so do others that are watched."""
        self._seen = replace(self._seen, at=at, unverified=(*self._seen.unverified, f"service: {error.msg}"))
        self.verdict = Verdict(FAILED, f"it cannot be watched: {error.msg}")
        self._unwatched = True
        self._tell(self.verdict.reason, at)

    def _judge(self, at: float, full: bool = False) -> None:
        if not self.begun or not (self.target.deployment_id and self.target.task_definition):
            # What was not said about the rollout is filled in. What ECS does not list at first it may list later.
            self.target = self.observer.first(*self._wanted)
            self.begun = True
        self._seen = self.observer.look(self.target, at, full)
        self._history = self._history.add(self._seen, self.target)
        self.verdict = judge(self._seen, self._history, self.target, self._limits)

    def _tell(self, line: str, at: float) -> None:
        """Show a line when it is not the one that was shown last."""
        if line != self._line:
            self._line = line
            self._say(f"{self.target.service}: {line} ({int(at) // 60}:{int(at) % 60:02d})")

    def result(self) -> dict[str, Any]:
        """The result as the module's RETURN documents it, with ``msg`` when the rollout did not succeed."""
        snapshot, target, verdict, clean = self._seen, self.target, self.verdict, self._aws.scrub.foreign
        result: dict[str, Any] = {
            "cluster": target.cluster,
            "service": target.service,
            "status": verdict.status,
            "elapsed": round(snapshot.at, 1),
            "deployment_id": target.deployment_id,
            "task_definition": target.task_definition,
            "tasks": [task.result() for task in snapshot.new_tasks(target)],
            "old_tasks": [task.result() for task in snapshot.old_tasks(target)],
            "events": [
                {"created_at": _iso(event.created_at), "message": clean(event.message)}
                for event in self._history.events
            ],
            "unverified": [clean(line) for line in snapshot.unverified],
            "diagnosis": [],
        }
        if verdict.status not in SUCCEEDED:
            findings, unread = self._findings()
            result["unverified"] += [clean(line) for line in unread]
            result["diagnosis"] = [
                {
                    "cause": finding.cause,
                    "evidence": clean(finding.evidence + finding.details),
                    "remedy": clean(finding.remedy),
                }
                for finding in findings
            ]
            result["msg"] = self._message(findings[0])
        return result

    def _findings(self) -> tuple[list[Finding], tuple[str, ...]]:
        """Why it did not complete, and what of that could not be looked at."""
        if self._unwatched:
            remedy = "Mend that, then wait again: the rollout goes on meanwhile."
            return [Finding("other", self.verdict.reason, remedy)], ()
        evidence = gather(self._aws, self.target, self._seen, self.observer.definition(self.target))
        found = diagnose(self._seen, self._history, self.target, self.verdict, evidence, limits=self._limits)
        return found, evidence.unread

    def _message(self, first: Finding) -> str:
        """One line: what, how it ended, why, what to do."""
        what = f"{self.target.service}: rollout of {last_part(self.target.task_definition) or 'an unknown revision'}"
        clean, reason = self._aws.scrub.foreign, self.verdict.reason
        why = "" if first.evidence == reason else f" Cause {first.cause}: {first.evidence.rstrip('.')}."
        return clean(f"{what} {self.verdict.status}: {reason.rstrip('.')}.{why} {first.remedy}")


def wait(
    aws: Aws, options: Mapping[str, Any], clock: Clock | None = None, say: Progress | None = None
) -> dict[str, Any]:
    """Wait until a rollout, or every one of several, is over.

    Args:
        options: the validated options of ``ecs_rollout_wait``.
        say: takes a line when something changed.

    Returns:
        The result of the one rollout, or ``results`` of all in the order of ``services``.

    Raises:
        KeyturnError: a rollout did not succeed (its result fields come along), or could not be looked at.
    """
    clock = clock or Clock()
    limits = _limits(options)
    started = clock.now()
    aws.over = lambda: clock.now() - started >= limits.timeout
    several = options["services"]
    tell = say if say and options["progress"] else _silent
    reads = Reads(aws)
    watches = [Watch(aws, reads, one, limits, tell, clock=clock) for one in several or [options]]
    waiting = watches
    while waiting:
        for group in _groups(waiting, clock.now() - started):
            _expect(reads, group)
            for watch in group:
                at = clock.now() - started
                try:
                    watch.poll(at, clock, options["poll_interval"])
                except KeyturnError as error:
                    if not several and not watch.begun:
                        raise
                    watch.give_up(error, at)
        waiting = [watch for watch in watches if not watch.verdict.over]
        if waiting:
            clock.sleep(max(min(watch.due for watch in waiting) - (clock.now() - started), 0.1))
    results = [watch.result() for watch in watches]
    return _answer(results, bool(several))


def _groups(waiting: list[Watch], at: float) -> Iterator[list[Watch]]:
    """Whom to look at now, those together whom one call tells of: of one cluster, due, or soon where there is room."""
    for cluster in dict.fromkeys(watch.cluster for watch in waiting):
        near = [watch for watch in waiting if watch.cluster == cluster and watch.waited(at) >= SOON]
        near.sort(key=lambda watch: watch.due)
        for start in range(0, len(near), SERVICES_BATCH):
            if near[start].due <= at:
                yield near[start : start + SERVICES_BATCH]


def _expect(reads: Reads, group: list[Watch]) -> None:
    """Say what the next looks may read. What of it they need is theirs to say: a call for others is not made."""
    if len(group) == 1:
        group = []  # It asks for itself, and perhaps for another record than the likely one.
    patient = all(watch.begun for watch in group)
    reads.services.begin(((watch.cluster, watch.service) for watch in group), patient)
    reads.records.begin((("", arn) for watch in group for arn in watch.observer.next_records()), patient)
    tasks = ((watch.cluster, arn) for watch in group for arn in watch.observer.next_tasks(watch.target))
    reads.tasks.begin(tasks, patient)


def _limits(options: Mapping[str, Any]) -> Limits:
    for name in ("timeout", "poll_interval"):
        if not 0 < options[name] <= LONGEST:  # not-a-number is neither
            raise KeyturnError(f"{name} must be more than 0 and at most {LONGEST} seconds (a year).")
    if options["max_failed_tasks"] < 0:
        raise KeyturnError("max_failed_tasks is negative: give 0 to leave it to the circuit breaker.")
    single = [name for name in ("cluster", "service", "deployment_id", "task_definition") if options[name]]
    if options["services"] and single:
        raise KeyturnError(f"services cannot be combined with {', '.join(single)}: put them into its entries.")
    for one in options["services"] or [options]:
        if not one.get("cluster") or not one.get("service"):
            raise KeyturnError("cluster and service must be given, or services with both in each entry.")
    return Limits(float(options["timeout"]), options["max_failed_tasks"], options["require_healthy"])


def _answer(results: list[dict[str, Any]], several: bool) -> dict[str, Any]:
    failed = [result["msg"] for result in results if result["status"] not in SUCCEEDED]
    for result in results:
        result["changed"] = False
    answer = {"changed": False, "results": results} if several else results[0]
    if failed:
        msg = " | ".join(failed)
        raise KeyturnError(msg, **{name: value for name, value in answer.items() if name != "msg"})
    return answer


def _silent(_line: str) -> None:
    return None


def _iso(time_of: float | None) -> str | None:
    return datetime.fromtimestamp(time_of, timezone.utc).isoformat(timespec="seconds") if time_of is not None else None
