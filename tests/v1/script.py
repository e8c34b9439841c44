"""A script of somebody who automates his nodes over REST, written for the old nexus: standard library only."""
import json
import os
import sys
import urllib.error
import urllib.request

BASE = os.environ["NEXUS"]
NODE = os.environ["NODE"]


def call(method, path, body=None):
    request = urllib.request.Request(BASE + path, method=method)
    request.add_header("Authorization", "Bearer " + os.environ["TOKEN"])
    data = None
    if body is not None:
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, data, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def execute(skill, method, parameters, node=NODE, **more):
    body = {"skill_name": skill, "method_name": method, "parameters": parameters, **more}
    return call("POST", f"/api/v1/nodes/{node}/execute", body)


def check(what, condition, shown):
    print(json.dumps({"check": what, "ok": bool(condition), "shown": shown}), flush=True)
    if not condition:
        sys.exit(1)


status, health = call("GET", "/healthz")
check("health", status == 200 and health == {"status": "ok", "component": "venom-nexus"}, health)

status, listing = call("GET", "/api/v1/nodes?online_only=true")
fields = {
    "node_id", "node_name", "capabilities", "last_heartbeat", "cpu_usage", "memory_usage", "active_tasks", "is_online",
    "registered_at",
}
check("list", status == 200 and listing["status"] == "success" and listing["count"] == len(listing["nodes"]), listing)
check("online count", listing["online_count"] >= 1, listing)
check("node fields", all(fields <= set(node) for node in listing["nodes"]), listing)

status, one = call("GET", f"/api/v1/nodes/{NODE}")
check("one node", status == 200 and one["status"] == "success" and one["node"]["node_id"] == NODE, one)
capabilities = {"skills", "tags", "cpu_cores", "memory_mb", "has_gpu", "has_docker", "platform"}
check("capabilities", capabilities <= set(one["node"]["capabilities"]), one)

status, unknown = call("GET", "/api/v1/nodes/00000000-0000-4000-8000-000000000000")
check("unknown node", status == 404 and unknown["detail"], unknown)

status, written = execute("FileSkill", "write_file", {"path": "note.txt", "content": "from a script"})
check("write_file", status == 200 and written["status"] == "success" and written["success"] is True, written)
status, read = execute("FileSkill", "read_file", {"path": "note.txt"})
check("read_file", read["result"] == "from a script" and read["error"] is None, read)
status, listed = execute("FileSkill", "list_files", {})
check("list_files", "note.txt" in listed["result"], listed)

status, shell = execute("ShellSkill", "run", {"command": "echo hello", "timeout": 30}, timeout=30)
check("shell", status == 200 and shell["success"] and shell["result"] == "hello\n", shell)
check("answer fields", {"execution_time", "node_id", "request_id"} <= set(shell) and shell["node_id"] == NODE, shell)
status, failed = execute("ShellSkill", "run", {"command": "rm -rf /"})
check("a skill that fails is 200", status == 200 and failed["success"] is False and failed["error"], failed)

status, late = execute("EchoSkill", "sleep", {"milliseconds": 20000}, timeout=1)
check("timed out", status == 504 and late["detail"], late)
status, bad = execute("EchoSkill", "echo", {}, timeout=-1)
check("bad request", status == 400 and bad["detail"], bad)
