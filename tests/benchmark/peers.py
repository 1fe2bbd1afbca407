# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The same rotation through keyturn.ecs and through what people use instead; what each one claims, and what is true.

    python tests/benchmark/peers.py      two tables, and tests/output/benchmark/peers.json; about five minutes

One embedded AWS in real time, a service for each tool and case. The first two cases start at the same moment, for every
tool; the third goes on with the first one's services. Every run has an AWS key of its own, by which the call log tells
whose call it was. Each peer has a virtual environment of its own below tests/output/benchmark/venvs, made by the first
run from what requirements/peers.txt pins.

The columns "claim" and "true at that moment" are computed: from the exit status, from what the embedded AWS held when
the tool ended, and from how the rollout ended in the end. Nothing about a tool is written down here but its command.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

import collection_tree
from simulator import Simulator

REQUIREMENTS = ROOT / "requirements" / "peers.txt"
OUTPUT = ROOT / "tests" / "output" / "benchmark"
CLUSTER, VARIABLE, OLD, NEW = "c", "OPENAI_API_KEY", "sk-old-0123456789abcdef", "sk-new-0123456789abcdef"
ACCOUNT, SPEED, DESIRED = "123456789012", 1, 2
HISTORY = 20  # revisions that the family has already
PATIENCE = 900  # seconds that a tool may take; the peers' own time-outs are set to it where they have one
LONGEST = 240  # characters of last words
CASES = ("completes", "circuit breaker rolls back", "unchanged second run")
SERVICE_OF = dict(zip(CASES, ("good", "bad", "good"), strict=True))

Json = dict[str, Any]

# A task definition as production has them. `environment` is what changes.
CONTAINERS: list[Json] = [
    {
        "name": "app",
        "image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/api:1.4.2",
        "essential": True,
        "portMappings": [{"containerPort": 8000, "hostPort": 8000, "protocol": "tcp", "name": "http"}],
        "environment": [{"name": "LOG_LEVEL", "value": "INFO"}, {"name": VARIABLE, "value": OLD}],
        "secrets": [{"name": "DB_PASSWORD", "valueFrom": f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/prod/db"}],
        "healthCheck": {"command": ["CMD-SHELL", "curl -f http://localhost:8000/health || exit 1"], "interval": 30},
        "linuxParameters": {"initProcessEnabled": True},
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": False}],
        "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 180},
        "dockerLabels": {"team": "api"},
        "stopTimeout": 60,
        "ulimits": [{"name": "nofile", "softLimit": 65536, "hardLimit": 65536}],
        "versionConsistency": "disabled",
    }
]
DEFINITION: Json = {
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "512",
    "memory": "1024",
    "executionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/api-execution",
    "taskRoleArn": f"arn:aws:iam::{ACCOUNT}:role/api-task",
    "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
    "ephemeralStorage": {"sizeInGiB": 40},
    "volumes": [{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryption": "ENABLED"}}],
}
TAGS = [{"key": "team", "value": "api"}, {"key": "cost-center", "value": "42"}]

# The guide's Bash commands, and the waiter that AWS CLI has for its "wait for deployment".
GUIDE = """\
aws ecs describe-task-definition --task-definition "$SERVICE" --query taskDefinition > task-def-current.json
{python} edit.py
aws ecs register-task-definition --cli-input-json file://task-def-current.json
NEW_REVISION=$(aws ecs describe-task-definition --task-definition "$SERVICE" --query taskDefinition.revision \
    --output text)
echo "New revision: $NEW_REVISION"
aws ecs update-service --cluster {cluster} --service "$SERVICE" --task-definition "$SERVICE:$NEW_REVISION" \
    --force-new-deployment
echo "Service update initiated!"
rm task-def-current.json
aws ecs wait services-stable --cluster {cluster} --services "$SERVICE"
"""
EDIT = """\
import json, os
with open("task-def-current.json") as file:
    definition = json.load(file)
for container in definition["containerDefinitions"]:
    for variable in container.get("environment", []):
        if variable["name"] == "OPENAI_API_KEY":
            variable["value"] = os.environ["OPENAI_API_KEY"]
{more}
with open("task-def-current.json", "w") as file:
    json.dump(definition, file)
"""
# What only DescribeTaskDefinition tells, and RegisterTaskDefinition does not take.
READ_ONLY = ("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt",
             "registeredBy")  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where one run happens: the service, a folder of the run's own, and where the tools are."""

    service: str
    folder: Path
    tree: str
    venvs: Mapping[str, Path]


Command = Callable[[Place], list[str]]


def guide_to_the_letter(place: Place) -> list[str]:
    """Nothing but the value is edited, and no command looks whether the one before succeeded."""
    (place.folder / "edit.py").write_text(EDIT.format(more=""), encoding="utf-8")
    return ["bash", "-c", GUIDE.format(python=shlex.quote(sys.executable), cluster=CLUSTER)]


def guide(place: Place) -> list[str]:
    """As somebody would write it down who tried it: what cannot be registered is taken out, and errors end it."""
    *bash, script = guide_to_the_letter(place)
    more = f"for name in {READ_ONLY!r}:\n    definition.pop(name, None)"
    (place.folder / "edit.py").write_text(EDIT.format(more=more), encoding="utf-8")
    return [*bash, f"set -e\n{script}"]


def ecs_deploy(place: Place) -> list[str]:
    command = [str(place.venvs["ecs-deploy"] / "bin" / "ecs"), "deploy", CLUSTER, place.service]
    return [*command, "-e", "app", VARIABLE, NEW, f"--timeout={PATIENCE}"]


def play(place: Place, playbook: Path, tasks: Sequence[Json]) -> list[str]:
    """Arguments of ansible-playbook, for a play that it writes."""
    own = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    host = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": own}
    plays = [{**host, "tasks": list(tasks)}]
    (place.folder / "playbook.json").write_text(json.dumps(plays), encoding="utf-8")
    return [str(playbook), "-i", "localhost,", str(place.folder / "playbook.json")]


VALUE = f"{{{{ lookup('env', '{VARIABLE}') }}}}"


def keyturn(place: Place) -> list[str]:
    where = {"cluster": CLUSTER, "service": place.service}
    followed = {name: f"{{{{ rotated.{name} }}}}" for name in ("deployment_id", "task_definition")}
    tasks = [
        {
            "name": "Rotate",
            "keyturn.ecs.ecs_env_rotate": {**where, "variable": VARIABLE, "value": VALUE},
            "register": "rotated",
        },
        {"name": "Wait", "keyturn.ecs.ecs_rollout_wait": {**where, **followed}},
    ]
    return play(place, Path(sysconfig.get_path("scripts")) / "ansible-playbook", tasks)


def community(place: Place, *, force_create: bool = False, loop: bool = False) -> list[str]:
    """Its way is the whole task definition in the playbook: every field for which the module has an option.

    `wait` does nothing for a service that is present, says its documentation. `force_create`: without it, 9.3.0 takes
    lists of the same length for equal. `loop`: for what ``aws ecs wait services-stable`` waits for.
    """
    app = {**CONTAINERS[0], "environment": [CONTAINERS[0]["environment"][0], {"name": VARIABLE, "value": VALUE}]}
    definition = {
        "family": place.service,
        "containers": [app],
        "launch_type": "FARGATE",
        "network_mode": DEFINITION["networkMode"],
        "cpu": DEFINITION["cpu"],
        "memory": DEFINITION["memory"],
        "execution_role_arn": DEFINITION["executionRoleArn"],
        "task_role_arn": DEFINITION["taskRoleArn"],
        "runtime_platform": DEFINITION["runtimePlatform"],
        "volumes": DEFINITION["volumes"],
        "state": "present",
        "force_create": force_create,
    }
    made = "{{ made.taskdefinition.family }}:{{ made.taskdefinition.revision }}"
    service = {"cluster": CLUSTER, "name": place.service, "desired_count": DESIRED, "task_definition": made}
    tasks: list[Json] = [
        {"name": "Register", "community.aws.ecs_taskdefinition": definition, "register": "made"},
        {"name": "Update", "community.aws.ecs_service": {**service, "state": "present", "wait": True}},
    ]
    if loop:
        stable = "{0}.deployments | length == 1 and {0}.runningCount == {0}.desiredCount".format("told.services[0]")
        look = {"cluster": CLUSTER, "service": place.service, "details": True, "events": False}
        until = {"register": "told", "until": stable, "delay": 10, "retries": PATIENCE // 10}
        tasks.append({"name": "Wait", "community.aws.ecs_service_info": look, **until})
    return play(place, place.venvs["community.aws"] / "bin" / "ansible-playbook", tasks)


@dataclass(frozen=True)
class Tool:
    """`venv` and what is installed there; none for the checkout, which runs in the environment of this script."""

    name: str
    command: Command
    venv: str = ""
    packages: tuple[str, ...] = ()


ANSIBLE = ("ansible-core", "boto3")
TOOLS = (
    Tool("keyturn.ecs", keyturn),
    Tool("AWS CLI, the guide", guide, "awscli", ("awscli",)),
    Tool("AWS CLI, the guide to the letter", guide_to_the_letter, "awscli", ("awscli",)),
    Tool("ecs-deploy", ecs_deploy, "ecs-deploy", ("ecs-deploy",)),
    Tool("community.aws", community, "community.aws", ANSIBLE),
    Tool("community.aws, `force_create`", partial(community, force_create=True), "community.aws", ANSIBLE),
    Tool(
        "community.aws, `force_create`, `until` loop",
        partial(community, force_create=True, loop=True),
        "community.aws",
        ANSIBLE,
    ),
)


def environments() -> dict[str, Path]:
    """The peers' virtual environments by name, made where they are not there as the requirements pin them."""
    found = {}
    for name, packages in {tool.venv: tool.packages for tool in TOOLS if tool.venv}.items():
        venv = found[name] = OUTPUT / "venvs" / name
        made_of = venv / REQUIREMENTS.name
        if made_of.is_file() and made_of.read_bytes() == REQUIREMENTS.read_bytes():
            continue
        print(f"Making the environment of {name} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--constraint", str(REQUIREMENTS), *packages], check=True)
        if name == "community.aws":
            unpack(pip, venv / "collections")
        made_of.write_bytes(REQUIREMENTS.read_bytes())
    return found


def unpack(pip: Sequence[str], place: Path) -> None:
    """amazon.aws and community.aws, out of a package with a hundred collections, most of which nobody needs here."""
    wanted = tuple(f"ansible_collections/{name}/" for name in ("amazon/aws", "community/aws"))
    with tempfile.TemporaryDirectory(prefix="keyturn-peers-") as folder:
        download = [*pip, "download", "--no-deps", "--only-binary=:all:", "--dest", folder]
        subprocess.run([*download, "--constraint", str(REQUIREMENTS), "ansible"], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(place, [name for name in packed.namelist() if name.startswith(wanted)])


@dataclass(frozen=True)
class Run:
    """One tool in one case, on its service."""

    tool: Tool
    case: str
    service: str
    access_key: str


@dataclass(frozen=True)
class Moment:
    """What is true of a service at one time. `record`: the status of its newest service deployment. `new`, `others`:
    tasks whose containers may run, by whether they hold NEW; `older`: those of them that an older one started."""

    at: float
    record: str
    records: int
    revisions: int
    new: int
    others: int
    older: int

    @property
    def rotated(self) -> bool:
        return self.new == DESIRED and not self.others

    @property
    def words(self) -> str:
        tasks = f"{self.new} tasks hold the new value, {self.others} do not"
        return f"{tasks}; newest rollout {self.record}"


@dataclass(frozen=True)
class Ended:
    """A tool's process, and the moment at which it ended. `argv`: the value was an argument."""

    exit: int
    output: str
    argv: bool
    wall: float
    cpu: float
    moment: Moment


class Lab:
    """The embedded AWS with a service for each run."""

    def __init__(self, simulator: Simulator, folder: Path, tree: str, venvs: Mapping[str, Path]) -> None:
        self.simulator, self._folder, self._tree, self._venvs = simulator, folder, tree, venvs
        self.ecs = simulator.client("ecs")

    def prepare(self, run: Run) -> None:
        """A steady service whose family has a history; the last case goes on with the first one's."""
        if run.case == CASES[2]:
            return
        definition = {**DEFINITION, "containerDefinitions": CONTAINERS, "tags": TAGS}
        for number in range(HISTORY):
            older = json.loads(json.dumps(definition).replace("api:1.4.2", f"api:1.3.{number}"))
            self.ecs.register_task_definition(family=run.service, **older)
        self.simulator.create_environment(
            cluster=CLUSTER, service=run.service, containers=CONTAINERS, desired=DESIRED,
            task_definition_options=DEFINITION, tags=TAGS,
            service_options={"deploymentConfiguration": {
                "deploymentCircuitBreaker": {"enable": True, "rollback": True}}},
        )  # fmt: skip
        if run.case == CASES[1]:
            self.simulator.script(CLUSTER, run.service, ending="circuit_breaker", cause="container_exit")

    def execute(self, run: Run) -> Ended:
        """Run the tool until it ends, and look what is true then."""
        folder = self._folder / f"{run.service}-{CASES.index(run.case)}"
        folder.mkdir()
        command = run.tool.command(Place(run.service, folder, self._tree, self._venvs))
        started = time.monotonic()
        with (folder / "output").open("w+", encoding="utf-8") as output:
            process = subprocess.Popen(
                command, cwd=folder, env=self._surroundings(run, folder), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            guard = threading.Timer(PATIENCE + 60, process.kill)
            guard.start()
            _unused, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            guard.cancel()
            moment = self.look(run)
            output.seek(0)
            text = output.read()
        return Ended(
            exit=process.returncode,
            output=text,
            argv=any(value in argument for argument in command for value in (OLD, NEW)),
            wall=time.monotonic() - started,
            cpu=used.ru_utime + used.ru_stime,
            moment=moment,
        )

    def _surroundings(self, run: Run, folder: Path) -> dict[str, str]:
        """The whole environment of a tool; nothing of the operator's is in it."""
        paths = [str(self._venvs[run.tool.venv] / "bin")] if run.tool.venv else []
        collections = str(self._venvs[run.tool.venv] / "collections") if run.tool.venv else self._tree
        return {
            **self.simulator.environ(),
            "AWS_ACCESS_KEY_ID": run.access_key,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "PATH": os.pathsep.join([*paths, os.environ.get("PATH", os.defpath)]),
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "SERVICE": run.service,
            VARIABLE: NEW,
            "ANSIBLE_CONFIG": str(Path(__file__).with_name("ansible.cfg")),
            "ANSIBLE_COLLECTIONS_PATH": collections,
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
        }

    def look(self, run: Run) -> Moment:
        now = self.simulator.now()
        records = self.records(run)
        newest = records[0]["targetServiceRevisionArn"].rpartition("/")[2]
        started = self.simulator.started_with(CLUSTER, run.service)
        # From DEPROVISIONING on the containers are gone.
        alive = [task for task in started if task["last_status"] not in ("DEPROVISIONING", "STOPPED")]
        new = sum(task["containers"].get("app", {}).get(VARIABLE) == NEW for task in alive)
        return Moment(
            at=now,
            record=records[0]["status"],
            records=len(records),
            revisions=self.newest_revision(run)["taskDefinition"]["revision"],
            new=new,
            others=len(alive) - new,
            older=sum(not task["started_by"].endswith(newest) for task in alive),
        )

    def records(self, run: Run) -> list[Json]:
        """Service deployments, newest first."""
        found: list[Json] = self.ecs.list_service_deployments(cluster=CLUSTER, service=run.service)[
            "serviceDeployments"
        ]
        return found

    def newest_revision(self, run: Run) -> Json:
        found: Json = self.ecs.describe_task_definition(taskDefinition=run.service, include=["TAGS"])
        return found

    def over(self, run: Run) -> float:
        """When the newest rollout was over: its record finished, and after a success its last old task stopped."""
        newest = self.records(run)[0]
        ends = [newest["finishedAt"]]
        if newest["status"] == "SUCCESSFUL":
            wanted = newest["targetServiceRevisionArn"].rpartition("/")[2]
            arns = self.ecs.list_tasks(cluster=CLUSTER, serviceName=run.service, desiredStatus="STOPPED")["taskArns"]
            tasks = self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
            ends += [task["stoppedAt"] for task in tasks if not task["startedBy"].endswith(wanted)]
        return float(max(end.timestamp() for end in ends))

    def lost(self, run: Run, before: Json) -> list[str]:
        """Fields of the revision before that the newest one does not have so; and revisions that were put away."""
        after = flat(self.newest_revision(run))
        gone = {".".join(path) for path, value in flat(before).items() if after.get(path) != value}
        runs = self.ecs.describe_services(cluster=CLUSTER, services=[run.service])["services"][0]["taskDefinition"]
        named = {before["taskDefinition"]["taskDefinitionArn"]: "before", runs: "that runs"}
        states = {
            name: self.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]["status"]
            for arn, name in named.items()
        }
        put_away = [f"the revision {name} is deregistered" for name, status in states.items() if status != "ACTIVE"]
        return sorted(gone) + put_away


def flat(described: Json) -> dict[tuple[str, ...], str]:
    """A described task definition as field to JSON, containers' fields by container; without the variable, and without
    what is empty."""
    definition = {name: value for name, value in described["taskDefinition"].items() if name not in READ_ONLY}
    found = {("tags", tag["key"]): tag["value"] for tag in described.get("tags", [])}
    for container in definition.pop("containerDefinitions"):
        fields = {**container, "environment": [one for one in container["environment"] if one["name"] != VARIABLE]}
        found |= {
            (container["name"], name): json.dumps(value, sort_keys=True) for name, value in fields.items() if value
        }
    return found | {(name,): json.dumps(value, sort_keys=True) for name, value in definition.items() if value}


def claim(ended: Ended, before: Moment, final: Moment) -> str:
    """Whether what the exit status says is so. `before`: when the tool started; `final`: when all is over."""
    then, deployed = ended.moment.record, final.records > before.records
    if ended.exit:
        if final.rotated:
            return "WRONG: failure of what succeeds"
        if not deployed:
            return "fails, and deployed nothing"
        why = re.search(r"roll(ed|ing)?[ _-]?(it )?back|circuit.?breaker", ended.output, re.IGNORECASE)
        return "right" if why else "right, but does not say why"
    if not final.rotated:
        if then == "ROLLBACK_SUCCESSFUL":
            return "WRONG: success after a rollback"
        if final.record == "ROLLBACK_SUCCESSFUL":
            return f"WRONG: does not wait, success while {then}, rolled back later"
        return "WRONG: success, and the value is not there"
    if then != "SUCCESSFUL":
        return f"does not wait: success while {then}"
    if ended.moment.older:
        return "early: old tasks still run"
    if before.rotated:
        return "right, after a rollout for nothing" if deployed else "right, nothing to do"
    return "right"


def last_words(output: str) -> str:
    """The last line, or the message of the task that failed, shortened; without values."""
    lines = [line.strip() for line in output.replace(OLD, "(value)").replace(NEW, "(value)").splitlines()]
    told = [line for line in lines if line] or ["(nothing)"]
    failed = [line.partition(" => ")[2] for line in told if line.startswith("fatal: ")]
    text = json.loads(failed[-1])["msg"] if failed else told[-1]
    text = re.sub(r"\s+", " ", text).replace("|", "\\|")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def shown(ended: Ended) -> str:
    places = ["output"] * (NEW in ended.output or OLD in ended.output) + ["arguments"] * ended.argv
    return "yes: " + ", ".join(places) if places else "no"


def measure(lab: Lab) -> list[Json]:
    """A row for each case and tool: the first two cases side by side, then the third."""
    runs = [
        Run(tool, case, f"peer{number}-{SERVICE_OF[case]}", f"AKIAPEER{CASES.index(case)}{number:011d}")
        for case in CASES
        for number, tool in enumerate(TOOLS)
    ]
    rows = []
    for cases in (CASES[:2], CASES[2:]):
        together = [run for run in runs if run.case in cases]
        lab.simulator.set_throttling(False)
        for run in together:
            lab.prepare(run)
        lab.simulator.set_throttling(True)
        before = {run: (lab.look(run), lab.newest_revision(run)) for run in together}
        with ThreadPoolExecutor(len(together)) as pool:
            ended = dict(zip(together, pool.map(lab.execute, together), strict=True))
        lab.simulator.advance(900)
        rows += [row(lab, run, ended[run], *before[run]) for run in together]
    return rows


def row(lab: Lab, run: Run, ended: Ended, before: Moment, definition: Json) -> Json:
    final = lab.look(run)
    deployed = final.records > before.records
    lag = ended.moment.at - lab.over(run)
    calls = [call for call in lab.simulator.calls() if call["access_key"] == run.access_key]
    return {
        "case": run.case,
        "tool": run.tool.name,
        "exit": ended.exit,
        "claim": claim(ended, before, final),
        "last_words": last_words(ended.output),
        "moment": asdict(ended.moment),
        "true_then": ended.moment.words,
        "in_the_end": final.record,
        "lag": round(lag / SPEED, 1) if deployed else None,
        "wall": round(ended.wall, 1),
        "cpu": round(ended.cpu, 1),
        "calls": len(calls),
        "calls_by_operation": dict(sorted(Counter(f"{call['service']}:{call['operation']}" for call in calls).items())),
        "throttled": sum(call["error"] == "ThrottlingException" for call in calls),
        "revisions": final.revisions - before.revisions,
        "deployments": final.records - before.records,
        "lost": lab.lost(run, definition),
        "value_shown": shown(ended),
    }


def table(rows: Sequence[Json]) -> str:
    """Markdown: what each one claimed, then what it cost and did."""
    head = [
        f"### The same rotation, side by side; speed {SPEED} (real time), {DESIRED} tasks, {HISTORY} older revisions",
        "",
        f"{', '.join(versions())}. Time-outs: {PATIENCE} s where a tool has one; `aws ecs wait`: 600 s, its own.",
        "Lag: seconds after the end, which is when the rollout's record is finished and, after a success, the last old",
        "task is STOPPED; its containers are gone 5 s before that. Empty where there was no rollout.",
        "",
        "| case | tool | exit | claim | last words | true at that moment | lag s | value shown |",
        "|---|---|---:|---|---|---|---:|---|",
    ]
    names = ("case", "tool", "exit", "claim", "last_words", "true_then", "lag", "value_shown")
    costs = [
        "### What it took, and what it did",
        "",
        "| case | tool | wall s | CPU s | AWS calls | throttled | new revisions | rollouts | lost of the definition |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    numbers = ("case", "tool", "wall", "cpu", "calls", "throttled", "revisions", "deployments", "lost")
    return "\n".join([*head, *(_line(one, names) for one in rows), "", *costs, *(_line(one, numbers) for one in rows)])


def versions() -> list[str]:
    """The peers' versions, as pinned; community.aws's as it says itself."""
    pins = dict(line.split("==") for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if "==" in line)
    manifest = OUTPUT / "venvs/community.aws/collections/ansible_collections/community/aws/MANIFEST.json"
    collection = json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"]
    found = [f"{name} {pins[name]}" for name in ("awscli", "ecs-deploy")]
    return [*found, f"community.aws {collection} (ansible-core {pins['ansible-core']})"]


def _line(entry: Json, names: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(entry[name]) for name in names)} |"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "nothing"
    return "" if value is None else str(value)


@contextlib.contextmanager
def laboratory() -> Iterator[Lab]:
    venvs = environments()
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-peers-") as folder,
        collection_tree.linked() as place,
        Simulator.start(speed=SPEED, seed=1) as simulator,
    ):
        yield Lab(simulator, Path(folder), str(place.parents[2]), venvs)


def main() -> None:
    started = time.monotonic()
    with laboratory() as lab:
        rows = measure(lab)
    text = json.dumps(rows, indent=2) + "\n"
    told = f"{table(rows)}\n\n{time.monotonic() - started:.0f} s in all"
    if any(value in text + told for value in (OLD, NEW)):
        raise SystemExit("A value stands in the results.")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "peers.json").write_text(text, encoding="utf-8")
    print(told)
    wrong = [one for one in rows if one["tool"] == TOOLS[0].name and not one["claim"].startswith("right")]
    if wrong:
        sys.exit(f"{TOOLS[0].name}: " + "; ".join(f"{one['case']}: {one['claim']}" for one in wrong))


if __name__ == "__main__":
    main()
