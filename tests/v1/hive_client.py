"""A hive client as they are out there: registers with the shared token at each start, from behind a NAT, and knows
nothing of tokens of its own. Standard library only. Says what it sees as JSON lines."""

import json
import os
import socket
import sys
import urllib.error
import urllib.request


def say(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def post(url, token, body):
    request = urllib.request.Request(
        url,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def main():
    url = os.environ["HIVE_URL"].rstrip("/")
    token = os.environ["HIVE_REGISTRATION_TOKEN"]
    body = {
        "agent_id": os.environ.get("AGENT_ID", socket.gethostname()),
        "hostname": socket.gethostname(),
        "service_port": 8001,
        "status": "online",
        "capabilities": ["shell", "files"],
        "version": "0.9.1",
        "python": ".".join(map(str, sys.version_info[:3])),
        "gpu": {"count": 0, "names": []},
    }
    status, answer = post(f"{url}/api/agents/register", token, body)
    if status in (200, 201) and answer.get("status") == "registered":
        say("registered", agent_id=answer["agent_id"], tasks=answer.get("assigned_tasks", []))
    elif status == 403:
        say("refused", status=answer["status"], message=answer["message"])
    else:
        say("confused", code=status, answer=answer)


main()
