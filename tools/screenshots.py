# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The audit's page in a real headless Chromium: light, dark and narrow, into ``docs/images/audit-*.png``.

    .venv/bin/python tools/screenshots.py            (apt-get install chromium, or CHROMIUM=/path/to/chromium)

Runs the playbook keyturn.ecs.audit on an embedded AWS, opens the page that it writes, and fails when the page logs
anything, fetches anything, is wider than the window, or has text of too little contrast (WCAG 2.1 AA, 4.5:1). No
part of ``make test``: pip cannot install a browser.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import http.server
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import collection_tree

ROOT = collection_tree.ROOT
sys.path.insert(0, str(ROOT / "tests"))

from openai import ADMIN_KEY, Provider  # noqa: E402 - found below tests
from simulator import DEFAULT_ACCOUNT, Simulator  # noqa: E402

Json = dict[str, Any]
IMAGES = ROOT / "docs" / "images"
LARGEST = 150_000  # bytes of an image
DAY = 86400
EU_ACCOUNT = "210987654321"
SHARED, OWN = "sk-proj-shared-0000000000000000", "sk-proj-staging-1111111111111111"

# name: (colour scheme, width, height of what is kept, its scale)
VIEWS = {"light": ("light", 1120, 1510, 0.85), "dark": ("dark", 1120, 1510, 0.85), "narrow": ("light", 390, 1400, 1.0)}

# Every text against what stands behind it: [ratio, text] where the ratio is below 4.5.
CONTRAST = """(() => {
  const parse = text => { const c = text.match(/[\\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c };
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                       return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const behind = node => { for (; node; node = node.parentElement) {
    const c = parse(getComputedStyle(node).backgroundColor); if (c[3] === 1) return c } return [255, 255, 255, 1] };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.data.trim(), box = walk.currentNode.parentElement;
    if (!text || !box.checkVisibility() || box.closest('svg title, svg desc')) continue;
    const style = getComputedStyle(box), ink = parse(box.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(ink.slice(0, 3)), light(behind(box).slice(0, 3))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push([(a + 0.05) / (b + 0.05), text]);
  }
  return found })()"""


class Chromium:
    """A browser that is spoken to over two pipes (DevTools protocol, ``--remote-debugging-pipe``)."""

    def __init__(self, program: str, profile: str) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # The browser wants 3 and 4; nothing of ours may stand there meanwhile.
        moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs_in, theirs_out)]

        def arrange() -> None:
            os.dup2(moved[0], 3)
            os.dup2(moved[1], 4)

        self._process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
             "--disable-background-networking", f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"],
            preexec_fn=arrange,  # noqa: PLW1509 - it calls dup2 and nothing else
            close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for end in (theirs_in, theirs_out, *moved):
            os.close(end)
        self._out, self._in = ours_out, ours_in
        self._left, self._number = b"", 0
        self.events: list[Json] = []
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Json:
        """Send a command and return its result; what happens meanwhile is kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: Json = answer["result"]
                return result
            self.events.append(answer)

    def wait(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def evaluate(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def stop(self) -> None:
        self._session = ""
        with contextlib.suppress(OSError, RuntimeError, EOFError):
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _read(self) -> Json:
        while b"\0" not in self._left:
            chunk = os.read(self._in, 1 << 16)
            if not chunk:
                raise EOFError("Chromium went away")
            self._left += chunk
        text, _zero, self._left = self._left.partition(b"\0")
        message: Json = json.loads(text)
        return message


def line(environment: str, days_ago: float, **more: Any) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days_ago * DAY))
    told = {"date": at, "environment": environment, "service": "elevareai-api", "action": "rotate", "status": "rotated",
            "variable": "OPENAI_API_KEY", "fingerprint": "sha256:9f86d081884c", "reason": "quarterly", "key_id": None,
            "who": "alice"}  # fmt: skip
    return json.dumps({**told, **more}) + "\n"


@contextlib.contextmanager
def trail(events: list[Json]) -> Iterator[str]:
    """CloudTrail, which the embedded AWS has not: a URL that answers with these events."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = asked["LookupAttributes"][0]["AttributeValue"]
            body = json.dumps({"Events": [one for one in events if one["EventName"] == name]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def prepare(sim: Simulator) -> tuple[Json, list[str], list[Json]]:
    """Four environments of different age and store; answers the inventory's hosts, principals and events."""
    sim.client("ssm", "eu-central-1", EU_ACCOUNT).put_parameter(Name="/prod/openai", Value=SHARED, Type="SecureString")
    sim.advance(59 * DAY)
    secret = sim.client("secretsmanager").create_secret(Name="prod/openai", SecretString=SHARED)["ARN"]
    sim.advance(20 * DAY)
    made = [
        ("staging", "us-east-1", DEFAULT_ACCOUNT,
         {"environment": {"OPENAI_API_KEY": OWN}, "age_seconds": 103 * DAY}),
        ("production", "us-east-1", DEFAULT_ACCOUNT, {"secrets": {"OPENAI_API_KEY": secret}, "age_seconds": 60}),
        ("eu-production", "eu-central-1", EU_ACCOUNT,
         {"secrets": {"OPENAI_API_KEY": "/prod/openai"}, "age_seconds": 60}),
        ("eu-staging", "eu-central-1", "333333333333", {"environment": {"OPENAI_API_KEY": OWN}}),
    ]  # fmt: skip
    hosts: Json = {}
    for name, region, account, wanted in made:
        project = "elevareai" if "production" in name else "elevareai-staging"
        sim.create_environment(
            cluster=f"{project}-cluster", service=f"{project}-api", region=region, account=account, desired=1, **wanted
        )
        hosts[name] = {"rotate_project_name": project, "rotate_region": region}
        if account != DEFAULT_ACCOUNT:
            hosts[name]["rotate_assume_role_arn"] = Simulator.role_arn(account)
    sim.fault("*", "denied", times=None, account="333333333333")
    iam, principals = sim.client("iam"), []
    for role, action in (("developers", "ecs:DescribeTaskDefinition"), ("on-call", "secretsmanager:GetSecretValue")):
        principals.append(iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")["Role"]["Arn"])
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
        iam.put_role_policy(RoleName=role, PolicyName="read", PolicyDocument=json.dumps(policy))
    for name in ("staging", "production"):
        hosts[name].update(rotate_audit_principals=principals, rotate_audit_trail=True)
    session = f"arn:aws:sts::{DEFAULT_ACCOUNT}:assumed-role/developers/alice@example.com"
    identity = {"type": "AssumedRole", "arn": session,
                "sessionContext": {"sessionIssuer": {"arn": principals[0]}}}  # fmt: skip
    record = {"eventSource": "ecs.amazonaws.com", "requestParameters": {"taskDefinition": "elevareai-staging-api"},
              "userIdentity": identity}  # fmt: skip
    event = {"EventName": "DescribeTaskDefinition", "CloudTrailEvent": json.dumps(record)}
    return hosts, principals, [{**event, "EventTime": time.time() - days * DAY} for days in (3, 17, 41)]


def page(folder: Path) -> Path:
    """The page that the real playbook writes."""
    record, written = folder / "record.jsonl", folder / "audit.html"
    with (
        collection_tree.linked() as place,
        Simulator.start(speed=0, throttling=False, start_at=time.time() - 79 * DAY) as sim,
        Provider.start() as provider,
    ):
        hosts, _principals, events = prepare(sim)
        provider.add_project()
        now = int(time.time())
        keys = {name: provider.add_key(name=name, created_at=now - days * DAY, last_used_at=now - used * DAY).id
                for name, days, used in (("elevareai-2026-05", 190, 101), ("elevareai-2026-11", 21, 0))}  # fmt: skip
        record.write_text(
            line("staging", 190) + line("staging", 103)
            + line("production", 194) + line("production", 108) + line("production", 22, status="rolled back")
            + line("production", 20, key_id=keys["elevareai-2026-11"], fingerprint=_fingerprint(SHARED))
            + line("eu-production", 165) + line("eu-production", 79) + line("eu-production", 30, action="rollback")
            + line("production, eu-production", 14, action="revoke", status=None)
        )  # fmt: skip
        inventory = folder / "inventory.json"
        inventory.write_text(json.dumps({"environments": {"hosts": hosts}}))
        with trail(events) as cloudtrail:
            given = {"rotate_report_path": str(written), "rotate_record_path": str(record),
                     "rotate_audit_revisions": True, "rotate_openai_project_id": "proj_abc",
                     "rotate_openai_base_url": provider.base_url}  # fmt: skip
            done = subprocess.run(
                [sys.executable, str(Path(sysconfig.get_path("scripts")) / "ansible-playbook"), "keyturn.ecs.audit",
                 "-i", str(inventory), "-e", json.dumps(given)],
                env={**os.environ, **sim.environ(), "ANSIBLE_COLLECTIONS_PATH": str(place.parents[2]), "USER": "alice",
                     "AWS_ENDPOINT_URL_CLOUDTRAIL": cloudtrail, "OPENAI_ADMIN_KEY": ADMIN_KEY},
                cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
    if not written.exists():
        sys.exit(done.stdout + done.stderr)
    return written


def _fingerprint(value: str) -> str:
    import hashlib
    import hmac

    return f"sha256:{hmac.new(b'OPENAI_API_KEY', value.encode(), hashlib.sha256).hexdigest()[:12]}"


def packed(image: bytes) -> bytes:
    """The same PNG with its pixels compressed as well as can be; Chromium hurries."""
    kept, pixels, at = [], b"", 8
    while at < len(image):
        length = int.from_bytes(image[at : at + 4], "big")
        kind, body = image[at + 4 : at + 8], image[at + 8 : at + 8 + length]
        pixels += body if kind == b"IDAT" else b""
        if kind in (b"IHDR", b"IEND"):
            kept.append((kind, body))
        at += 12 + length
    kept.insert(1, (b"IDAT", zlib.compress(zlib.decompress(pixels), 9)))
    parts = [
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big") for kind, body in kept
    ]
    return image[:8] + b"".join(parts)


def look(browser: Chromium, url: str, name: str) -> list[str]:
    """Take one picture; answers what is wrong with the page."""
    scheme, width, height, scale = VIEWS[name]
    browser.events.clear()
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.call("Page.navigate", url=url)
    browser.wait("Page.loadEventFired")
    wrong = [
        f"{event['method']}: {json.dumps(event['params'])[:300]}"
        for event in browser.events
        if event.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    ]
    fetched = {
        event["params"]["request"]["url"]
        for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
    }
    wrong += [f"fetches {other}" for other in fetched - {url}]
    text = browser.evaluate("document.body.innerText")
    wanted = ("staging", "production", "eu-production", "eu-staging", "103 days old", "plain text", "alice@example.com")
    wrong += [f"does not tell {word}" for word in wanted if word not in text]
    wrong += [
        f"shows a value: {value}"
        for value in (SHARED, OWN)
        if value in browser.evaluate("document.documentElement.outerHTML")
    ]
    if (wide := browser.evaluate("document.documentElement.scrollWidth")) > width:
        wrong.append(f"is {wide} wide in a window of {width}")
    wrong += [f"has contrast {ratio:.2f}: {what}" for ratio, what in browser.evaluate(CONTRAST)]
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": scale}
    shot = browser.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
    image = packed(base64.b64decode(shot["data"]))
    (IMAGES / f"audit-{name}.png").write_bytes(image)
    if len(image) > LARGEST:
        wrong.append(f"makes an image of {len(image)} bytes, {LARGEST} are allowed")
    print(f"audit-{name}.png: {width} x {height}, {len(image)} bytes, {len(text)} characters, {len(wrong)} complaints")
    return [f"{name}: {one}" for one in wrong]


def main() -> int:
    """Make the page, look at it in every view."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        sys.exit("No Chromium: apt-get install chromium, or set CHROMIUM to its path.")
    with tempfile.TemporaryDirectory(prefix="keyturn-page-") as folder:
        written = page(Path(folder))
        if len(sys.argv) > 1:
            shutil.copy(written, sys.argv[1])
        browser = Chromium(program, f"{folder}/profile")
        try:
            wrong = [one for name in VIEWS for one in look(browser, written.as_uri(), name)]
        finally:
            browser.stop()
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
