# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a value could be seen. One row each on the page; a row with a remedy is one where Ansible itself shows it."""

from __future__ import annotations

import dataclasses

HERE, ELSEWHERE = "direct", "module"  # the two doors
DOORS = (HERE, ELSEWHERE)


@dataclasses.dataclass(frozen=True)
class Sink:
    """A row.

    Attributes:
        shows: doors through which a value is seen there; empty for a sink that must be clean.
        doors: those for which it exists.
        remedy: what an operator does about it.
    """

    key: str
    name: str
    shows: tuple[str, ...] = ()
    remedy: str = ""
    doors: tuple[str, ...] = DOORS


SINKS = [
    # Every case of cases.py, in one playbook for each door.
    Sink("terminal", "terminal and job output, ``-vvvvvv --diff``, with tracebacks"),
    Sink("log", "file of ``ANSIBLE_LOG_PATH``"),
    Sink("results", "results, as every callback plugin gets them"),
    Sink("junit", "report of the callback ``junit``"),
    Sink("facts", "fact cache, with every registered result in it"),
    Sink("journal", "system log of the host"),
    Sink("processes", "process list"),
    Sink("temporary", "temporary files, while running and afterwards (other host: with pipelining)"),
    Sink("other files", "whatever else is below the home and working folders"),
    # The role, in one playbook: rotated, rolled back, refused; and an audit.
    Sink("role terminal", "output of the playbooks, ``-vvvvvv --diff``", doors=(HERE,)),
    Sink("role files", "report, ledger, audit's page, retry files, temporary files", doors=(HERE,)),
    Sink("role AWS", "tags, names and descriptions in AWS", doors=(HERE,)),
    # ansible-runner, as AWX runs playbooks.
    Sink("runner", "ansible-runner: stdout, events, fact cache", doors=(HERE,)),
    Sink("inventory", "inventory plugin: hosts, errors, cache", doors=(HERE,)),
    Sink("killed direct", "temporary files after SIGKILL, local connection", doors=(HERE,)),
    # Honest rows.
    Sink(
        "unpipelined",
        "temporary files of a running or killed module, no pipelining",
        (ELSEWHERE,),
        "Set ``ansible_pipelining: true``, or run on the controller (``connection: local``).",
        (ELSEWHERE,),
    ),
    Sink(
        "kept",
        "``ANSIBLE_KEEP_REMOTE_FILES=1``",
        (ELSEWHERE,),
        "It is for debugging: use a key that is revoked afterwards.",
    ),
    Sink(
        "async",
        "temporary files of a task with ``async``",
        (ELSEWHERE,),
        "Leave ``async`` away: no module here needs it. ``openai_api_key`` refuses it.",
        (ELSEWHERE,),
    ),
    Sink(
        "task environment",
        "a key in the task's ``environment:``, ``-vvv``",
        (ELSEWHERE,),
        "Give it as the option ``value``, or in the environment of the whole process.",
    ),
    Sink(
        "debug",
        "``ANSIBLE_DEBUG=1``",
        (ELSEWHERE,),
        "It is for Ansible's developers: use a key that is revoked afterwards.",
    ),
    Sink(
        "arguments",
        "a task's arguments, which every callback plugin may read",
        DOORS,
        "Enable only callback plugins that you trust; Ansible hands them arguments even with ``no_log``.",
    ),
    Sink(
        "command line",
        "``-e key=…``: process list",
        DOORS,
        "Put the key into the environment, a vault, or a file for ``-e @FILE``.",
    ),
    Sink(
        "process environment",
        "``/proc/PID/environ``, for the same user and root",
        DOORS,
        "Run on a machine of your own, or take the key from a vault.",
    ),
    Sink(
        "runner command",
        "ansible-runner: ``artifacts/IDENT/command`` holds its environment",
        DOORS,
        "Let a lookup read the key from a file or a vault. AWX masks what its credential types inject.",
    ),
    Sink("loop label", "``loop:`` over items that hold a key", DOORS, "Set ``loop_control.label``."),
    Sink("shown", "``debug`` of a variable that holds a key", DOORS, "Show its fingerprint."),
    Sink("cacheable", "``set_fact`` of a key with ``cacheable: true``: fact cache", DOORS, "Leave ``cacheable`` away."),
    Sink("template", "a filter of your own template that fails on the key", DOORS, "Test templates with another text."),
    Sink(
        "short neighbour",
        "another variable's value of less than 8 characters, where AWS repeats it",
        DOORS,
        "Such a value is no secret; a random one has 16 characters or more.",
    ),
]
