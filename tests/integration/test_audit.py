# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook audit: what is due, where values lie, who may read them; as JSON, as a page and as an exit code."""

from __future__ import annotations

import html.parser
import http.server
import json
import re
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from integration.role_runs import ENVIRONMENTS, EU_ACCOUNT, NEIGHBOUR, NEW_VALUE, OLD_VALUE, UNANSWERED, Play, Run
from integration.test_preflight import make_role
from integration.test_role_rotation import assert_no_value
from openai import ADMIN_KEY, Provider
from simulator import DEFAULT_ACCOUNT, Simulator

Json = dict[str, Any]
DAY = 86400
OLD, NEW = (fingerprint("OPENAI_API_KEY", value) for value in (OLD_VALUE, NEW_VALUE))
STAGING: dict[str, dict[str, Any]] = {"staging": {}}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
# What these close is written without a closing tag in SVG.
SHAPES = {"line", "rect", "circle", "path"}


class Page(html.parser.HTMLParser):
    """The page as a browser would take it: tags, texts and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SHAPES
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def assert_self_contained(text: str) -> Page:
    """Nothing is fetched, nothing is run, and it can be read by everybody."""
    page = Page(text)
    names = {tag for tag, _attributes in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    for _tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "href", "xlink:href")}
    assert not re.search(r"https?://|url\(|@import", text)
    assert page.named("html") == [{"lang": "en"}]
    assert len(page.named("h1")) == 1
    ids = [attributes["id"] for _tag, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _tag, attributes in page.tags:
        assert set(attributes.get("aria-labelledby", "").split()) <= set(ids)
    assert all("aria-label" in one or "aria-labelledby" in one for one in page.named("div") if one.get("role") == "img")
    return page


def make(aws: Simulator, name: str, value: str = OLD_VALUE, days: float = 30, **wanted: Any) -> Json:
    """Cluster ``NAME-cluster`` with service ``NAME-api`` that was deployed so many days ago."""
    account, variables = ENVIRONMENTS[name]
    entries = {"DB_PASSWORD": NEIGHBOUR, **({} if "secrets" in wanted else {"OPENAI_API_KEY": value})}
    return aws.create_environment(
        cluster=f"{name}-cluster",
        service=f"{name}-api",
        environment=entries,
        desired=1,
        region=variables["rotate_region"],
        account=account,
        age_seconds=days * DAY,
        **wanted,
    )


def audit(play: Play, *arguments: str, **more: Any) -> Run:
    return play(*arguments, playbook="keyturn.ecs.audit", value=None, **more)


def report_of(folder: Path, name: str = "audit.json") -> Json:
    text = (folder / name).read_text()
    assert_no_value(text)
    found: Json = json.loads(text)
    assert set(found) == {"written", "who", "ok", "counts", "environments", "drift", "keys", "unverified"}
    assert found["ok"] == all(one["ok"] for one in found["environments"])
    assert found["counts"]["environments"] == len(found["environments"])
    for one in found["environments"]:
        assert one["ok"] is (one["complaints"] == [])
        assert one["status"] in ("fine", "due soon", "overdue", "unknown")
        for value in one["values"]:
            assert re.fullmatch(r"sha256:[0-9a-f]{12}", value["fingerprint"] or "sha256:000000000000")
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", value["due"] or "2000-01-01")
    return found


def by_name(report: Json) -> dict[str, Json]:
    return {one["environment"]: one for one in report["environments"]}


def date(days_ago: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days_ago * DAY))


def entry(environment: str, days_ago: float, **more: Any) -> str:
    line = {
        "date": date(days_ago), "environment": environment, "service": f"{environment}-api", "action": "rotate",
        "variable": "OPENAI_API_KEY", "previous_fingerprint": None, "fingerprint": OLD, "status": "rotated",
        "reason": None, "key_id": None, "who": "alice", **more,
    }  # fmt: skip
    return json.dumps(line) + "\n"


def test_three_environments_one_overdue_one_denied(aws: Simulator, play: Play, tmp_path: Path) -> None:
    aws.reset()
    make(aws, "staging", days=100)
    secret = aws.client("secretsmanager").create_secret(Name="prod/openai", SecretString=NEW_VALUE)["ARN"]
    make(aws, "production", secrets={"OPENAI_API_KEY": secret}, days=0)
    make(aws, "eu-production", days=80)
    aws.fault("DescribeServices", "denied", times=None, account=EU_ACCOUNT)
    (tmp_path / "record.jsonl").write_text(
        entry("staging", 100, reason="quarterly")
        + entry("production", 60)
        + entry("production", 10, status="rolled back")
        + entry("production", 2, action="rollback", status="rolled back")
        + entry("production", 1, fingerprint=NEW, previous_fingerprint=OLD)
        + entry("staging, production", 0.5, action="revoke", status=None, service=None, fingerprint=None)
        + entry("somewhere else", 5)
        + entry("staging", 5, variable="OTHER")
        + "not JSON\n"
    )
    run = audit(play, rotate_report_path="audit.html", rotate_record_path="record.jsonl")
    assert run.rc == 2
    assert_no_value(run.text)
    assert "DEPRECATION" not in run.text
    assert {name: (host["failed"], host["changed"]) for name, host in run.recap.items()} == {
        "staging": (1, 0),
        "production": (0, 0),
        "eu-production": (1, 0),
    }
    assert "staging needs attention. OPENAI_API_KEY in staging-api (app) is 100 days old" in run.flat
    assert "eu-production needs attention. eu-production-api could not be looked at: " in run.flat
    assert run.table["staging"][1:4] == ["app", "environment (plain text)", OLD]
    assert [
        call["operation"] for call in aws.calls("ecs") if not call["operation"].startswith(("Describe", "List"))
    ] == []

    report = report_of(tmp_path)
    assert stat.S_IMODE((tmp_path / "audit.html").stat().st_mode) == 0o600
    found = by_name(report)
    assert {name: (one["status"], one["ok"]) for name, one in found.items()} == {
        "staging": ("overdue", False),
        "production": ("fine", True),
        "eu-production": ("unknown", False),
    }
    value = found["staging"]["values"][0]
    assert (value["plaintext"], value["days_left"], value["due"]) == (True, pytest.approx(-10, abs=0.2), date(10)[:10])
    value = found["production"]["values"][0]
    assert (value["store"], value["plaintext"], value["secret_arn"]) == ("secretsmanager", False, secret)
    assert [(one["action"], one["status"]) for one in found["production"]["history"]] == [
        ("rotate", "rotated"),
        ("rotate", "rolled back"),
        ("rollback", "rolled back"),
        ("rotate", "rotated"),
        ("revoke", "revoked"),
    ]
    assert [one["status"] for one in found["staging"]["history"]] == ["rotated", "revoked"]
    assert report["drift"] == [
        {
            "variable": "OPENAI_API_KEY",
            "key_group": "all",
            "fingerprints": 2,
            "shared": [],
            "alone": [
                {"fingerprint": NEW, "environment": "production"},
                {"fingerprint": OLD, "environment": "staging"},
            ],
        }
    ]
    assert {one["about"] for one in report["unverified"]} == {"eu-production", "OpenAI"}
    assert "ecs:DescribeServices" in next(one["why"] for one in report["unverified"] if one["about"] == "eu-production")

    text = (tmp_path / "audit.html").read_text()
    assert_no_value(text)
    page = assert_self_contained(text)
    flat = re.sub(r"\s+", " ", page.text)
    for name in ENVIRONMENTS:
        assert name in flat
    assert "2 environments of 3 need attention: eu-production, staging" in flat
    for told in (OLD, NEW, value["due"], "Secrets Manager", "plain text", "100 days old", "ecs:DescribeServices"):
        assert told in flat
    assert len([one for one in page.named("circle") if one.get("class") == "ok" and one["r"] == "6.5"]) == 3


def test_all_is_well_and_the_report_may_be_json_only(aws: Simulator, play: Play, tmp_path: Path) -> None:
    aws.reset()
    for name, days in (("staging", 80.0), ("production", 10.0), ("eu-production", 5.0)):
        make(aws, name, days=days)
    run = audit(play, **{**UNANSWERED, "rotate_report_path": "report"})
    assert run.rc == 0, run.text
    report = report_of(tmp_path, "report")
    assert {name: one["status"] for name, one in by_name(report).items()} == {
        "staging": "due soon",
        "production": "fine",
        "eu-production": "fine",
    }
    assert report["drift"][0]["shared"] == [{"fingerprint": OLD, "environments": sorted(ENVIRONMENTS)}]
    assert report["drift"][0]["alone"] == []
    assert {name: report["counts"][name] for name in ("values", "fine", "due_soon", "overdue", "plaintext")} == {
        "values": 3, "fine": 2, "due_soon": 1, "overdue": 0, "plaintext": 3,
    }  # fmt: skip
    assert not list(tmp_path.glob("*.html"))
    # Groups that are meant to have keys of their own are not compared.
    groups = {"staging": {"rotate_key_group": "test"}, "production": {}, "eu-production": {}}
    audit(play, hosts=groups, rotate_report_path="report")
    drift = {one["key_group"]: one for one in report_of(tmp_path, "report")["drift"]}
    assert [len(drift[group]["shared"]) for group in ("test", "all")] == [0, 1]


def test_plaintext_may_be_forbidden_in_old_revisions_too(
    aws: Simulator, play: Play, environments: Json, tmp_path: Path
) -> None:
    forbidden = audit(play, hosts=STAGING, rotate_forbid_plaintext=True)
    assert forbidden.rc == 2
    assert "OPENAI_API_KEY in staging-api (app) stands in plain text in staging-api:1." in forbidden.flat
    moved = play(hosts=STAGING, rotate_store="secretsmanager", rotate_secret_id="prod/openai", rotate_verify_key=False)
    assert moved.rc == 0, moved.text
    assert audit(play, hosts=STAGING, rotate_forbid_plaintext=True).rc == 0
    deep = audit(
        play, hosts=STAGING, rotate_forbid_plaintext=True, rotate_audit_revisions=True, rotate_report_path="audit.html"
    )
    assert deep.rc == 2
    assert "Old revisions hold OPENAI_API_KEY in plain text: staging-api:1." in deep.flat
    assert report_of(tmp_path)["counts"]["plaintext_revisions"] == 1
    page = assert_self_contained((tmp_path / "audit.html").read_text())
    assert "staging-api:1" in page.text


def test_hostile_names_are_shown_and_do_nothing(aws: Simulator, play: Play, tmp_path: Path) -> None:
    aws.reset()
    make(aws, "staging")
    hostile = '<b onclick="x">&amp; </title></svg><script>alert(1)</script>'
    (tmp_path / "record.jsonl").write_text(
        "".join(
            entry("<b>bold</b>", 10, reason=reason, who=hostile, status=hostile)
            for reason in (hostile, "{{ lookup('ansible.builtin.pipe', 'touch owned') }}", "{% raw %}", "{{{")
        )
    )
    variables = {**ENVIRONMENTS["staging"][1], "rotate_key_group": hostile}
    run = audit(
        play,
        inventory={"environments": {"hosts": {"<b>bold</b>": variables}}},
        rotate_report_path="audit.html",
        rotate_record_path="record.jsonl",
    )
    assert run.rc == 0, run.text
    text = (tmp_path / "audit.html").read_text()
    page = assert_self_contained(text)
    assert page.named("b") == [{}] * 7  # the counts
    assert "<b>bold</b>" in page.text
    assert hostile in page.text
    assert "{ { lookup('ansible.builtin.pipe', 'touch owned') }}" in page.text
    assert not (tmp_path / "owned").exists()
    assert by_name(report_of(tmp_path))["<b>bold</b>"]["history"][0]["reason"] == hostile


# OpenAI, IAM and CloudTrail


def test_old_keys_that_nobody_revoked(aws: Simulator, play: Play, environments: Json, tmp_path: Path) -> None:
    with Provider.start() as provider:
        provider.add_project()
        now = int(time.time())
        ages = {"forgotten": 200, "in use": 30, "next": 1}
        keys = {name: provider.add_key(name=name, created_at=now - days * DAY).id for name, days in ages.items()}
        (tmp_path / "record.jsonl").write_text(entry("staging", 30, key_id=keys["in use"]))
        more = {"rotate_openai_base_url": provider.base_url, "rotate_openai_project_id": "proj_abc"}
        run = audit(
            play, admin_key=ADMIN_KEY, rotate_report_path="audit.html", rotate_record_path="record.jsonl", **more
        )
        assert run.rc == 0, run.text
        assert len([call for call in provider.calls() if call.startswith("GET")]) == 1
        report = report_of(tmp_path)
        assert {one["name"]: one["status"] for one in report["keys"]} == {
            "forgotten": "old",
            "in use": "current",
            "next": "newer",
        }
        assert report["counts"]["old_keys"] == 1
        page = assert_self_contained((tmp_path / "audit.html").read_text())
        assert keys["forgotten"] in page.text
        # Without a record nobody knows which key is which.
        audit(play, admin_key=ADMIN_KEY, rotate_report_path="audit.json", **more)
        assert {one["status"] for one in report_of(tmp_path)["keys"]} == {"unknown"}
    # What OpenAI does not answer is told, and fails nothing.
    down = audit(play, admin_key=ADMIN_KEY, rotate_report_path="audit.json", rotate_openai_project_id="proj_abc")
    assert down.rc == 0, down.text
    assert "OpenAI project proj_abc" in {one["about"] for one in report_of(tmp_path)["unverified"]}


@pytest.fixture
def trail(aws: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Json]]:
    """CloudTrail, which the simulator has not: the events of its one page."""
    events: list[Json] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = asked["LookupAttributes"][0]["AttributeValue"]
            body = json.dumps({"Events": [one for one in events if one["EventName"] == name]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    usual = aws.environ()
    there = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(aws, "environ", lambda: {**usual, "AWS_ENDPOINT_URL_CLOUDTRAIL": there})
    yield events
    server.shutdown()
    server.server_close()


def test_who_may_read_and_who_did(aws: Simulator, play: Play, trail: list[Json], tmp_path: Path) -> None:
    aws.reset()
    make(aws, "staging")
    curious = make_role(aws, {"ecs:DescribeTaskDefinition": "*"}, name="curious")
    blind = make_role(aws, {"ecs:ListServices": "*"}, name="blind")
    record = {
        "eventSource": "ecs.amazonaws.com",
        "requestParameters": {"taskDefinition": "staging-api:1"},
        "sourceIPAddress": "192.0.2.7",
        "userIdentity": {
            "type": "AssumedRole",
            "arn": f"arn:aws:sts::{DEFAULT_ACCOUNT}:assumed-role/curious/mallory@example.com",
            "sessionContext": {"sessionIssuer": {"arn": curious}},
        },
    }
    trail.append(
        {"EventName": "DescribeTaskDefinition", "EventTime": time.time() - DAY, "CloudTrailEvent": json.dumps(record)}
    )
    run = audit(
        play,
        hosts=STAGING,
        rotate_report_path="audit.html",
        rotate_audit_principals=[curious, blind, "arn:aws:iam::999999999999:role/elsewhere"],
        rotate_audit_trail=True,
    )
    assert run.rc == 0, run.text
    one = by_name(report_of(tmp_path))["staging"]
    assert [(may["principal"], may["allowed"]) for may in one["may_read"]] == [(curious, True), (blind, False)]
    assert [(did["who"], did["count"], did["sessions"]) for did in one["readers"]] == [
        (curious, 1, ["mallory@example.com"])
    ]
    assert "999999999999" in report_of(tmp_path)["unverified"][0]["why"]
    page = assert_self_contained((tmp_path / "audit.html").read_text())
    assert "mallory@example.com" in page.text
    # Neither IAM's nor CloudTrail's refusal fails an audit; both are told.
    aws.fault("SimulatePrincipalPolicy", "denied", times=None, service="iam")
    assert audit(play, hosts=STAGING, rotate_report_path="audit.json", rotate_audit_principals=[blind]).rc == 0
    assert any("iam:SimulatePrincipalPolicy" in line["why"] for line in report_of(tmp_path)["unverified"])


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"rotate_max_age_days": "often"}, "rotate_max_age_days must be a whole number, at least 1"),
        ({"rotate_warn_days": -1}, "rotate_warn_days must be a whole number, at least 0"),
        ({"rotate_audit_principals": "me"}, "rotate_audit_principals must be a list of ARNs."),
        ({"rotate_max_age": 90}, "rotate_max_age is not a variable of this role: did you mean rotate_max_age_days?"),
    ],
)
def test_refusals(aws: Simulator, play: Play, given: Json, complaint: str) -> None:
    aws.reset()
    run = audit(play, hosts=STAGING, **given)
    assert run.rc == 2
    assert complaint in run.flat
    assert "staging was not looked at." in run.flat
    assert aws.calls("ecs") == []


def test_an_environment_without_the_variable_is_no_success(aws: Simulator, play: Play, tmp_path: Path) -> None:
    aws.reset()
    make(aws, "staging")
    run = audit(play, hosts=STAGING, rotate_variable="OTHER_KEY", rotate_report_path="audit.html")
    assert run.rc == 2
    assert "No container of staging-api is known to have OTHER_KEY." in run.flat
    assert_self_contained((tmp_path / "audit.html").read_text())
