"""A LAN scan agent as they are out there: registers with the site's secret, keeps the token it is given, beats, fetches
commands, pushes what it saw. Standard library only. Says what it sees as JSON lines."""

import datetime
import json
import os
import time
import urllib.error
import urllib.request


def say(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def call(method, path, body=None, token=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["SERVER"] + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else {}
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def now():
    # as datetime.now().isoformat() writes it: no zone
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None).isoformat()


def scan(target):
    return {
        "target": target,
        "scan_method": "hybrid",
        "started_at": now(),
        "completed_at": now(),
        "is_root": False,
        "assets": [
            {
                "ip": "192.168.1.1",
                "mac": "AA-BB-CC-00-00-01",
                "hostname": "router",
                "vendor": "Acme",
                "open_ports": [53, 80],
                "os_hint": None,
                "bigr_category": "network",
                "confidence_score": 0.8,
                "scan_source": "arp",
            },
            {"ip": "192.168.1.20", "mac": None, "hostname": None, "open_ports": []},
        ],
        "network_fingerprint": {
            "fingerprint_hash": "f00d",
            "gateway_ip": "192.168.1.1",
            "gateway_mac": "aa:bb:cc:00:00:01",
            "ssid": None,
        },
    }


def shield(target):
    return {
        "target": target,
        "started_at": now(),
        "completed_at": now(),
        "modules_run": ["tls", "headers"],
        "findings": [
            {
                "module": "headers",
                "severity": "medium",
                "title": "no HSTS",
                "detail": "the header is missing",
                "target_ip": "192.168.1.1",
                "remediation": "send it",
                "cvss": 4.3,
            }
        ],
        "certificates": [{"host": "192.168.1.1", "port": 443, "cn": "router", "issuer": "router", "valid_to": "2027-01-01T00:00:00"}],
    }


def main():
    status, answer = call(
        "POST",
        "/api/agents/register",
        {
            "name": os.environ["NAME"],
            "site_name": os.environ["SITE"],
            "location": "cellar",
            "subnets": ["192.168.1.0/24"],
            "secret": os.environ["AGENT_REGISTRATION_SECRET"],
        },
    )
    if status != 200:
        say("refused", code=status, answer=answer)
        return
    agent, token = answer["agent_id"], answer["token"]
    say("registered", agent_id=agent, token=token, message=answer["message"])
    status, answer = call("POST", "/api/agents/heartbeat", {"status": "online", "version": "1.4.2"}, token)
    say("beat", code=status, answer=answer)
    for _ in range(int(os.environ.get("COMMANDS", "0"))):
        status, answer = call("GET", "/api/agents/commands", token=token)
        while status == 200 and not answer["commands"]:
            time.sleep(0.1)
            status, answer = call("GET", "/api/agents/commands", token=token)
        say("commands", code=status, answer=answer)
        for command in answer["commands"]:
            for state in ("ack", "running"):
                call("PATCH", f"/api/agents/commands/{command['id']}", {"status": state}, token)
            for target in command["params"]["targets"]:
                status, answer = call("POST", "/api/ingest/discovery", scan(target), token)
                say("discovery", code=status, answer=answer)
                if command["params"]["shield"]:
                    status, answer = call("POST", "/api/ingest/shield", shield(target), token)
                    say("shield", code=status, answer=answer)
            status, answer = call(
                "PATCH", f"/api/agents/commands/{command['id']}", {"status": "completed", "result": {"assets": 2}}, token
            )
            say("completed", code=status, answer=answer)
    status, answer = call("POST", "/api/agents/rotate-token", token=token)
    say("rotated", code=status, answer=answer)
    status, answer = call("POST", "/api/agents/heartbeat", {}, answer["token"])
    say("beat", code=status, answer=answer)
    status, answer = call("POST", "/api/agents/heartbeat", {}, token)
    say("beat", code=status, answer=answer)


main()
