# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role proves before and after a rotation, how it goes back, and the playbooks verify and rollback."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from integration.role_runs import NEIGHBOUR, NEW_VALUE, OLD_VALUE, Play
from integration.test_role_rotation import assert_no_value, running_values, writes
from openai import Provider
from simulator import Simulator

STAGING: dict[str, dict[str, Any]] = {"staging": {}}
OLD, NEW = (fingerprint("OPENAI_API_KEY", value) for value in (OLD_VALUE, NEW_VALUE))


class Application:
    """An HTTP server that answers with one status after another; the last stays."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                application.requests.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
                left = application.statuses
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.end_headers()
                self.wfile.write(b'{"answer": "Berlin", "password": "' + NEIGHBOUR.encode() + b'"}')

            do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/ask"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def application() -> Iterator[Application]:
    served = Application()
    yield served
    served.stop()


def smoke(application: Application, **more: Any) -> dict[str, Any]:
    return {"url": application.url, "delay": 0, "retries": 1, **more}


# The application


def test_the_application_is_called_as_asked(
    aws: Simulator, environments: dict[str, Any], play: Play, application: Application
) -> None:
    asked = smoke(
        application,
        method="post",
        headers={"Authorization": f"Bearer {NEIGHBOUR}"},
        body={"question": "capital?"},
        status=[200, 201],
        body_pattern="Berlin",
    )
    run = play("-vvv", hosts=STAGING, rotate_smoke_test=asked)
    assert run.rc == 0, run.text
    method, path, headers, body = application.requests[0]
    assert (method, path, json.loads(body)) == ("POST", "/api/ask", {"question": "capital?"})
    assert (headers["Authorization"], headers["Content-Type"]) == (f"Bearer {NEIGHBOUR}", "application/json")
    assert run.table["staging"][-1] == "200"
    assert_no_value(run.text)


def test_a_401_rolls_back_and_tells_both_stories(
    aws: Simulator, environments: dict[str, Any], play: Play, application: Application
) -> None:
    application.statuses = [401]
    run = play(hosts=STAGING, rotate_smoke_test=smoke(application), rotate_report_path="report.json")
    assert run.rc == 2
    assert "answered 401, and 200 was expected" in run.flat
    assert f"Rolled back: staging-api runs staging-api:1 with {OLD} again, 1 task(s) verified." in run.flat
    assert running_values(aws, "staging") == [OLD_VALUE]
    assert run.table["staging"][1] == "rolled back"
    assert writes(aws) == ["RegisterTaskDefinition", "UpdateService", "UpdateService"]
    assert_no_value(run.text)
    # Once the cause is removed, the same command goes on.
    application.statuses = [200]
    again = play(hosts=STAGING, rotate_smoke_test=smoke(application))
    assert again.rc == 0, again.text
    assert running_values(aws, "staging") == [NEW_VALUE]
    assert writes(aws).count("RegisterTaskDefinition") == 1


def test_left_as_it_is_where_that_is_asked_for(
    aws: Simulator, environments: dict[str, Any], play: Play, application: Application
) -> None:
    application.statuses = [500]
    run = play(hosts=STAGING, rotate_smoke_test=smoke(application), rotate_on_failure="leave")
    assert run.rc == 2
    assert "answered 500" in run.flat
    assert "To go back instead: ansible-playbook keyturn.ecs.rollback --limit staging" in run.flat
    assert (running_values(aws, "staging"), run.table["staging"][1]) == ([NEW_VALUE], "proof failed")
    back = play(playbook="keyturn.ecs.rollback", hosts=STAGING, value=None, rotate_rollback_to="staging-api:1")
    assert back.rc == 0, back.text
    assert running_values(aws, "staging") == [OLD_VALUE]


def test_the_application_gets_its_retries(
    aws: Simulator, environments: dict[str, Any], play: Play, application: Application
) -> None:
    application.statuses = [503, 502, 200]
    run = play(hosts=STAGING, rotate_smoke_test=smoke(application, retries=3))
    assert run.rc == 0, run.text
    assert len(application.requests) == 3


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"body_pattern": "Paris"}, "its body does not match body_pattern Paris"),
        ({"url": "http://ops:hunter2@127.0.0.1:9/x?key=abc"}, "answered nothing, and 200 was expected (Request failed"),
        ({"url": "127.0.0.1"}, "must have a url that begins with http:// or https://"),
        ({"colour": "red"}, "rotate_smoke_test: colour is none of url, method"),
    ],
)
def test_other_complaints(
    aws: Simulator,
    environments: dict[str, Any],
    play: Play,
    application: Application,
    asked: dict[str, Any],
    complaint: str,
) -> None:
    run = play(hosts=STAGING, rotate_smoke_test=smoke(application, **asked))
    assert run.rc == 2
    assert complaint in run.flat
    assert running_values(aws, "staging") == [OLD_VALUE]
    assert "key=abc" not in run.text
    assert "hunter2" not in run.text


# The provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider.start() as served:
        yield served


def test_a_key_that_the_provider_accepts(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider
) -> None:
    provider.key(NEW_VALUE)
    run = play(hosts=STAGING, rotate_openai_base_url=provider.base_url, rotate_verify_key=True)
    assert run.rc == 0, run.text
    assert provider.calls() == ["GET /models"]


@pytest.mark.parametrize("mode", ["auto", True])
def test_a_key_that_the_provider_refuses_is_refused_before_any_write(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider, mode: Any
) -> None:
    for arguments in (("--check",), ()):
        run = play(*arguments, hosts=STAGING, rotate_openai_base_url=provider.base_url, rotate_verify_key=mode)
        assert run.rc == 2
        assert "refuses the key (HTTP 401, invalid_api_key)" in run.flat
        assert "Nothing was changed in staging" in run.flat
        assert_no_value(run.text)
    assert writes(aws) == []
    assert play(hosts=STAGING, rotate_openai_base_url=provider.base_url, rotate_verify_key=False).rc == 0


def test_a_provider_that_says_nothing(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider, tmp_path: Path
) -> None:
    """`auto` goes on and tells it; who demands an answer gets none, and stops."""
    for _unused in range(2):
        provider.fault("status", status=500, times=4, headers={"Retry-After": "0"})
    demanded = play(hosts=STAGING, rotate_openai_base_url=provider.base_url, rotate_verify_key=True)
    assert demanded.rc == 2
    assert "the trouble is the provider's" in demanded.flat
    assert writes(aws) == []
    run = play(hosts=STAGING, rotate_openai_base_url=provider.base_url, rotate_report_path="report.json")
    assert run.rc == 0, run.text
    (row,) = json.loads((tmp_path / "report.json").read_text())["environments"]
    assert any("Whether the key is accepted is not known" in line for line in row["unverified"])


# Stores


def test_a_migration_and_a_purge_through_the_role(
    aws: Simulator, environments: dict[str, Any], play: Play, tmp_path: Path
) -> None:
    moved = {"rotate_store": "secretsmanager", "rotate_secret_id": "prod/openai", "rotate_pin_secret_version": True}
    kept = play(hosts=STAGING, rotate_purge_plaintext=True, **moved)
    assert kept.rc == 0, kept.text
    (container,) = aws.client("ecs").describe_task_definition(taskDefinition="staging-api:2")["taskDefinition"][
        "containerDefinitions"
    ]
    assert [entry["name"] for entry in container["secrets"]] == ["OPENAI_API_KEY"]
    # What the next rotation would go back to is the second revision, so that the first may go.
    third = play(hosts=STAGING, rotate_purge_plaintext=True, value="sk-proj-third", rotate_report_path="report.json")
    assert third.rc == 0, third.text
    (row,) = json.loads((tmp_path / "report.json").read_text())["environments"]
    assert [arn.rpartition("/")[2] for arn in row["purged"]] == ["staging-api:1"]
    assert third.changed("staging") == 2
    again = play(hosts=STAGING, rotate_purge_plaintext=True, value="sk-proj-third")
    assert (again.rc, again.changed("staging")) == (0, 0), again.text


# Local .env files


def test_local_env_files_get_the_value_once_it_is_proved(
    aws: Simulator, environments: dict[str, Any], play: Play, application: Application, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"# mine\nDB=x\nOPENAI_API_KEY={OLD_VALUE}\n")
    application.statuses = [401]
    asked = {"rotate_dotenv_paths": [".env"], "rotate_smoke_test": smoke(application)}
    assert play(hosts=STAGING, **asked).rc == 2
    assert OLD_VALUE in file.read_text()
    application.statuses = [200]
    run = play("-vvv", "--diff", hosts=STAGING, **asked)
    assert run.rc == 0, run.text
    assert file.read_text() == f"# mine\nDB=x\nOPENAI_API_KEY={NEW_VALUE}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    again = play(hosts=STAGING, **asked)
    assert (again.rc, again.changed("staging")) == (0, 0)
    assert_no_value(run.text, again.text)
