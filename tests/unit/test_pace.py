# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Turns of many workers: nobody waits before a refusal; after it nobody exceeds the bucket, and nothing is wasted."""

from __future__ import annotations

import os
import time

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils import _pace
from ansible_collections.keyturn.ecs.plugins.module_utils._pace import LIMITS, Pace
from simulator import throttle

REGISTER = ("ecs", "RegisterTaskDefinition")
READ = ("ecs", "DescribeServices")


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def test_nobody_waits_while_nothing_is_refused() -> None:
    pace = Pace(Clock())
    assert [pace.turn("a", *REGISTER) for _unused in range(100)] == [0.0] * 100


def test_the_refused_and_who_comes_after_take_turns_a_second_apart() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert [pace.refused("a", *REGISTER), pace.turn("a", *REGISTER), pace.refused("a", *REGISTER)] == [1.0, 2.0, 3.0]
    clock.at += 2.5
    assert pace.turn("a", *REGISTER) == 1.5


def test_the_bucket_fills_again_but_not_beyond_its_burst() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.refused("a", *REGISTER)
    clock.at += 3600
    waits = [pace.turn("a", *REGISTER) for _unused in range(22)]
    assert waits == [0.0] * 20 + [1.0, 2.0]


def test_operations_of_one_bucket_wait_for_each_other_and_no_others() -> None:
    pace = Pace(Clock())
    pace.refused("a", *REGISTER)
    assert pace.turn("a", "ecs", "DeregisterTaskDefinition") == 2.0
    assert pace.turn("a", *READ) == 0.0
    assert pace.turn("b", *REGISTER) == 0.0


def test_of_what_has_no_documented_limit_nothing_is_known() -> None:
    pace = Pace(Clock())
    assert pace.refused("a", "ssm", "PutParameter") is None
    assert pace.turn("a", "ssm", "PutParameter") == 0.0


def test_with_more_accounts_than_there_is_place_for_nobody_waits() -> None:
    pace = Pace(Clock())
    waits = [pace.refused(str(number), *REGISTER) for number in range(_pace._ENTRIES + 5)]
    assert waits == [1.0] * _pace._ENTRIES + [0.0] * 5


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.sampled_from(sorted(LIMITS)))
def test_the_bucket_of_ecs_refuses_nobody_who_took_a_turn(gaps: list[float], call: tuple[str, str]) -> None:
    """Against a bucket written apart from ours: after the one refusal that starts it, no call is refused."""
    clock = Clock()
    pace = Pace(clock)
    bucket = throttle.Bucket(throttle.LIMITS[call], 0.0, clock.at)
    assert not bucket.take(clock.at)
    sent = [clock.at + (pace.refused("a", *call) or 0.0)]
    for gap in gaps:
        clock.at += gap
        sent.append(clock.at + pace.turn("a", *call))
    # Clocks are read and summed in another order there.
    assert all(bucket.take(at + 1e-6 * (number + 1)) for number, at in enumerate(sorted(sent)))


def test_forks_keep_one_order() -> None:
    pace = Pace(time.monotonic)
    pace.share()
    pace.refused("a", *REGISTER)
    reading, writing = os.pipe()
    children = []
    for _unused in range(8):
        child = os.fork()
        if child == 0:
            os.write(writing, b"%4d\n" % round(pace.turn("a", *REGISTER) + 0.5))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    waits = sorted(int(line) for line in os.read(reading, 100).split())
    os.close(reading)
    os.close(writing)
    # The first of nine waits a second, and so on; some hundredths of a second pass meanwhile.
    assert waits == [2, 3, 4, 5, 6, 7, 8, 9]


def test_the_limits_are_those_that_the_embedded_aws_keeps() -> None:
    ours = {call: (limit.burst, limit.rate) for call, limit in LIMITS.items()}
    assert ours == {call: (limit.burst, limit.rate) for call, limit in throttle.LIMITS.items()}
