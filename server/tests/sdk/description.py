"""Compares the answers of a service with its OpenAPI description.

Arguments: its address, its keys as JSON, the day that its clock says, and how many examples schemathesis makes for each operation. First
come answers to what people ask: their status, their form and every member must be described. Then schemathesis asks what it makes of the
description, with the settings of `schemathesis.toml`.
"""

import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import jsonschema_rs

HERE = pathlib.Path(__file__).parent
SEED = "20261122"
JSON = "application/json"


def ask(host, method, path, key=None, body=None, headers=None):
    """The status, the media type and the body of an answer."""
    headers = dict(headers or {})
    if key:
        headers["authorization"] = f"Bearer {key}"
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers.setdefault("content-type", JSON)
    request = urllib.request.Request(host + path, data=body, headers=headers, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        media_type = answer.headers.get("content-type", "").split(";")[0]
        return answer.status, media_type, answer.read()


def closed(schema):
    """The same schema, with no member beside those that it has."""
    if isinstance(schema, list):
        return [closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: closed(inner) for name, inner in schema.items()}
    if isinstance(schema.get("properties"), dict):
        schema.setdefault("additionalProperties", False)
    return schema


class Description:
    """The description of a service; `seen` is what has been compared."""

    def __init__(self, host):
        self.host = host
        status, _, body = ask(host, "GET", "/openapi.json")
        assert status == 200, status
        self.document = json.loads(body)
        self.components = closed(copy.deepcopy(self.document["components"]))
        self.seen = set()

    def check(self, schema, value, asked):
        schema = {**closed(copy.deepcopy(schema)), "components": self.components}
        try:
            jsonschema_rs.Draft202012Validator(schema).validate(value)
        except jsonschema_rs.ValidationError as error:
            sys.exit(f"{asked} is not as described: {error}\n{json.dumps(value)[:2000]}")

    def compare(self, wanted, method, pattern, *, path=None, **request):
        """Asks, and compares the answer with what is described of it; returns the body."""
        status, media_type, body = ask(self.host, method, path or pattern, **request)
        asked = f"{method} {path or pattern}: {status} {media_type}"
        if status != wanted:
            sys.exit(f"{asked}, and not {wanted}: {body[:2000]}")
        described = self.document["paths"][pattern][method.lower()]["responses"]
        if str(status) not in described:
            sys.exit(f"{asked} is not described")
        content = described[str(status)].get("content", {})
        if status != 204:
            if media_type not in content:
                sys.exit(f"{asked} is not described, only {sorted(content)}")
            if media_type in (JSON, "application/problem+json"):
                self.check(content[media_type]["schema"], json.loads(body), asked)
        self.seen.add((method, pattern, status))
        return body


def event(**more):
    return {"event": "screen_view", "user_id": "u-1", "country": "DE", "properties": {"screen": "home"}, **more}


def senders(api, keys, day):
    """What whoever sends events and consents is told."""
    time = f"{day}T11:00:00Z"
    events = [event(id="a", time=time), event(id="a", time=time), event(time=time, event="nothing"), event(time="no"), 7,
        event(time=time, event="screen_veiw", properties={"scren": "home"})]
    batch = {"context": {"os": 7}, "sent_at": "no", "events": [*events, event(time=time, user_id="undefined")]}
    consent = {"policy_version": "2026-1", "granted_at": "2026-01-02T03:04:05Z"}
    for path in ("/v1/events", "/v1/validate"):
        for key in ("server", "shipped"):
            api.compare(200, "POST", path, key=keys[key], body=batch)
            api.compare(200, "POST", path, key=keys[key], body={**batch, "consent": consent})
        api.compare(200, "POST", path, key=keys["server"], body=json.dumps(events[0]).encode())
        api.compare(200, "POST", path, path=f"{path}?key={keys['server']}", body=batch)
        api.compare(401, "POST", path, body=batch)
        api.compare(403, "POST", path, key=keys["analyst"], body=batch)
        api.compare(400, "POST", path, key=keys["server"], body=b"{")
        api.compare(415, "POST", path, key=keys["server"], body=b"{}", headers={"content-encoding": "rot13"})
        api.compare(422, "POST", path, key=keys["server"], body={"events": 7})
    message = {"type": "track", "event": "App Opened", "userId": "u-1", "messageId": "m", "timestamp": time}
    api.compare(200, "POST", "/v1/batch", body={"writeKey": keys["server"], "batch": [message]})
    api.compare(200, "POST", "/v1/batch", key=keys["server"], body={"batch": [message], "context": {"consent": 7}})
    api.compare(400, "POST", "/v1/batch", key=keys["server"], body={"batch": 7})
    api.compare(401, "POST", "/v1/batch", body={"batch": []})
    pattern, path = "/api/{project}/envelope/", f"/api/1/envelope/?sentry_key={keys['sentry']}"
    api.compare(200, "POST", pattern, path=path, body=b'{"event_id": "fc6d8c0c43fc4630ad850ee518f1b9d0"}\n')
    api.compare(200, "POST", pattern, path=path, body=b"{}\n")
    api.compare(400, "POST", pattern, path=path, body=b"no envelope")
    api.compare(401, "POST", pattern, path="/api/1/envelope/", body=b"{}\n")
    change = {"programme": "user-experience", "action": "grant", "policy_version": "2026-1", "user_id": "u-2", "country": "DE"}
    for body in (change, [change], {"consents": [{**change, "action": "withdraw"}]}):
        api.compare(200, "POST", "/v1/consents", key=keys["server"], body=body)
    api.compare(422, "POST", "/v1/consents", key=keys["server"], body={**change, "policy_version": "0"})
    asked = {"user_id": "u-1", "country": "DE"}
    for status, key, body in [(200, "server", asked), (403, "analyst", asked), (422, "server", {"user_id": "u-1"})]:
        api.compare(status, "POST", "/v1/consents/query", key=keys[key], body=body)
    for key in ("server", "shipped", "analyst", "officer"):
        api.compare(200, "GET", "/v1/keys/self", key=keys[key])
    for key in ("server", "shipped"):
        api.compare(200, "GET", "/v1/schema", key=keys[key])
    api.compare(403, "GET", "/v1/schema", key=keys["analyst"])
    api.compare(401, "GET", "/v1/keys/self")


def analysts(api, keys, day):
    """What analysts are told."""
    question = {"sql": f"SELECT event, COUNT(*) AS n FROM usage WHERE day = DATE '{day}' GROUP BY event"}
    key = keys["analyst"]
    for more in ({"dry_run": True}, {}, {"format": "csv"}, {"format": "arrow"}, {"sd_max": 2000, "id": None}):
        api.compare(200, "POST", "/v1/sql", key=key, body={**question, **more})
    api.compare(200, "POST", "/v1/sql", key=key, body={"sql": f"EXPLAIN {question['sql']}"})
    plain = {"content-type": "text/plain"}
    api.compare(200, "POST", "/v1/sql", key=key, body=question["sql"].encode(), headers=plain)
    for sql in ("SELECT", "SELECT * FROM usage", "SELECT MIN(day) FROM usage"):
        api.compare(400, "POST", "/v1/sql", key=key, body={"sql": sql})
    api.compare(422, "POST", "/v1/sql", key=key, body={"sql": "SELECT 1", "precision": "highest"})
    api.compare(403, "POST", "/v1/sql", key=keys["server"], body=question)
    api.compare(200, "GET", "/v1/sql", key=key)
    api.compare(404, "DELETE", "/v1/sql/{id}", path="/v1/sql/1f0e5d9c-6c6e-4a53-9a3c-0b9c4b1d7a10", key=key)
    api.compare(200, "GET", "/v1/tables", key=key)
    budget = f"/v1/budget?table=usage&region=DE&first={day}&last={day}"
    told = json.loads(api.compare(200, "GET", "/v1/budget", path=budget, key=key))
    assert told["blocks"][0]["spent_by"], "the questions were paid"
    api.compare(422, "GET", "/v1/budget", path="/v1/budget?first=no", key=key)


def operators(api, keys):
    """What officers and operators are told."""
    api.compare(200, "GET", "/v1/retention/plan", key=keys["officer"])
    api.compare(403, "GET", "/v1/retention/plan", key=keys["analyst"])
    lines = api.compare(200, "POST", "/v1/retention/runs", key=keys["officer"], body={"dry_run": True})
    for line in lines.decode().splitlines():
        api.check({"$ref": "#/components/schemas/RetentionRunLine"}, json.loads(line), "a line of a run")
    assert b'"report"' in lines, lines
    api.compare(422, "POST", "/v1/retention/runs", key=keys["officer"], body={"accept_clock": "2001-01-01"})
    persons = {"subjects": [{"user_id": ["u-9"], "install_id": ["i-9"]}], "idempotency_key": "k", "regions": ["DE"]}
    told = json.loads(api.compare(200, "POST", "/v1/subjects/erase", key=keys["officer"], body=persons))
    pattern = "/v1/subjects/requests/{id}"
    api.compare(200, "GET", pattern, path=f"/v1/subjects/requests/{told['request']}", key=keys["officer"])
    api.compare(404, "GET", pattern, path="/v1/subjects/requests/1f0e5d9c-6c6e-4a53-9a3c-0b9c4b1d7a10", key=keys["officer"])
    api.compare(403, "POST", "/v1/subjects/erase", key=keys["analyst"], body=persons)
    person = {"subject": {"user_id": "u-9"}, "region": "DE"}
    for status, key, body in [(200, "account", person), (403, "officer", person), (422, "account", {"subject": {}, "region": "DE"})]:
        api.compare(status, "POST", "/v1/subjects/access", key=keys[key], body=body)
    path = f"/v1/subjects/requests/{told['request']}/receipt"
    for status, key, query in [(200, "officer", "?region=DE"), (422, "officer", ""), (403, "analyst", "?region=DE")]:
        api.compare(status, "GET", pattern + "/receipt", path=path + query, key=keys[key])
    more = {"restrict": {"ground": "accuracy", "review_on": "2026-12-24"}, "object": {"rows": "erase"}, "exclude": {}}
    for act, members in more.items():
        body = {**persons, **members}
        told = json.loads(api.compare(200, "POST", f"/v1/subjects/{act}", key=keys["officer"], body=body))
        api.compare(403, "POST", f"/v1/subjects/{act}", key=keys["analyst"], body=body)
        api.compare(422, "POST", f"/v1/subjects/{act}", key=keys["officer"], body={"subjects": []})
    api.compare(200, "GET", "/v1/subjects/requests", key=keys["officer"])
    api.compare(403, "GET", "/v1/subjects/requests", key=keys["analyst"])
    path = f"/v1/subjects/requests/{told['request']}/lift"
    for status, key, body in [(403, "analyst", {"informed": True}), (422, "officer", {}), (200, "officer", {"informed": True})]:
        api.compare(status, "POST", pattern + "/lift", path=path, key=keys[key], body=body)
    unknown = "/v1/subjects/requests/1f0e5d9c-6c6e-4a53-9a3c-0b9c4b1d7a10/lift"
    api.compare(404, "POST", pattern + "/lift", path=unknown, key=keys["officer"], body={"informed": True})
    api.compare(422, "POST", "/v1/subjects/erase", key=keys["officer"], body={"subjects": []})
    api.compare(200, "GET", "/healthz")
    api.compare(200, "GET", "/readyz")


def schemathesis(host, keys, examples):
    """Lets schemathesis ask; it ends with another code than 0 when it finds something."""
    environment = {
        **os.environ,
        **{f"SHOAL_{name.upper()}_KEY": key for name, key in keys.items()},
    }
    program = pathlib.Path(sys.executable).parent / "schemathesis"
    run = ["run", f"{host}/openapi.json", "--max-examples", examples, "--seed", SEED, "--generation-database", "none"]
    # It leaves files where it runs.
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("schemathesis.toml", "schemathesis_hooks.py"):
            shutil.copy(HERE / name, scratch)
        done = subprocess.run([str(program), *run], env=environment, cwd=scratch, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"schemathesis found something:\n{done.stdout[-20000:]}\n{done.stderr[-4000:]}")
    print(done.stdout)


def main():
    host, keys, day, examples = sys.argv[1:]
    keys = json.loads(keys)
    api = Description(host)
    senders(api, keys, day)
    analysts(api, keys, day)
    operators(api, keys)
    operations = {(method.upper(), path) for path, item in api.document["paths"].items() for method in item}
    compared = {(method, pattern) for method, pattern, _ in api.seen}
    assert operations == compared, f"not asked: {sorted(operations - compared)}"
    if examples != "0":
        schemathesis(host, keys, examples)


main()
