# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Progress of many hosts: one line every few seconds, whichever worker has it, and one at the end."""

from __future__ import annotations

import os

import pytest

from ansible_collections.keyturn.ecs.plugins.plugin_utils._board import DONE, FAILING, SECONDS, UNDER_WAY, Board

HOSTS = [f"env{number:03d}" for number in range(200)]


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    return Board(clock)


def test_a_line_every_few_seconds(board: Board, clock: Clock) -> None:
    assert [board.mark("wait", HOSTS, host, UNDER_WAY) for host in HOSTS] == [None] * 200
    assert [board.mark("wait", HOSTS, host, DONE) for host in HOSTS[:142]] == [None] * 142
    clock.at += SECONDS
    assert board.mark("wait", HOSTS, HOSTS[150], UNDER_WAY) == "142/200 rolled out"
    assert board.mark("wait", HOSTS, HOSTS[151], DONE) is None
    clock.at += SECONDS
    assert board.mark("wait", HOSTS, HOSTS[152], FAILING) == "143/200 rolled out, 1 failing: env152"


def test_the_last_one_tells_at_once(board: Board) -> None:
    for host in HOSTS[:-1]:
        board.mark("wait", HOSTS, host, DONE)
    assert board.mark("wait", HOSTS, HOSTS[-1], DONE) == "200/200 rolled out"


def test_of_many_that_fail_some_are_named(board: Board) -> None:
    told = [board.mark("wait", HOSTS, host, FAILING if number < 8 else DONE) for number, host in enumerate(HOSTS)]
    assert told[-1] == "192/200 rolled out, 8 failing: env000, env001, env002, env003, env004 and 3 more"
    assert told[:-1] == [None] * 199


def test_another_task_counts_anew(board: Board, clock: Clock) -> None:
    board.mark("wait", HOSTS, HOSTS[0], DONE)
    clock.at += 2 * SECONDS
    assert board.mark("wait after a rollback", HOSTS, HOSTS[1], UNDER_WAY) is None
    clock.at += SECONDS
    assert board.mark("wait after a rollback", HOSTS, HOSTS[1], DONE) == "1/200 rolled out"


def test_forked_workers_count_together(board: Board) -> None:
    for host in HOSTS[:10]:
        child = os.fork()
        if child == 0:
            board.mark("wait", HOSTS[:11], host, DONE)
            os._exit(0)
        os.waitpid(child, 0)
    assert board.mark("wait", HOSTS[:11], HOSTS[10], DONE) == "11/11 rolled out"
