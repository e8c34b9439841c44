"""A spore of protocol 1, as they run out there: Python, standard library only, and set in its ways.

It sends no `protocol` field and timestamps without a zone. Any message but EXECUTE_SKILL counts as invalid, and after ten
of them it hangs up. What it prints, one JSON object a line, is what the test looks at.
"""
import base64
import hashlib
import json
import os
import random
import select
import socket
import struct
import sys
import time
import uuid
from datetime import datetime

MAX_INVALID = 10


def say(**facts):
    print(json.dumps(facts), flush=True)


class WebSocket:
    """Just enough of RFC 6455 for a client."""

    def __init__(self, host, port, path):
        self.socket = socket.create_connection((host, port), timeout=30)
        self.buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.socket.sendall(request.encode())
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        if b" 101 " not in head.split(b"\r\n")[0] or accept not in head:
            raise ConnectionError(head.decode("latin-1"))

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        self.buffer += data

    def _take(self, count):
        while len(self.buffer) < count:
            self._more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def _frame(self, opcode, payload):
        head = bytes([0x80 | opcode])
        if len(payload) < 126:
            head += bytes([0x80 | len(payload)])
        elif len(payload) < 65536:
            head += bytes([0x80 | 126]) + struct.pack("!H", len(payload))
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", len(payload))
        mask = struct.pack("!I", random.getrandbits(32))
        self.socket.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))

    def send(self, text):
        self._frame(1, text.encode())

    def close(self, code):
        self._frame(8, struct.pack("!H", code))

    def waiting(self, seconds):
        return bool(self.buffer) or bool(select.select([self.socket], [], [], seconds)[0])

    def receive(self):
        """The next text; None for a control frame. Raises ConnectionError with code and reason on a close."""
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8))
        payload = self._take(length)
        opcode = first & 0x0F
        if opcode == 8:
            code = struct.unpack("!H", payload[:2])[0] if payload else 1005
            raise ConnectionError(f"{code} {payload[2:].decode()}")
        if opcode == 9:
            self._frame(10, payload)
        return payload.decode() if opcode == 1 else None


def stamp():
    return datetime.now().isoformat()


class Spore:
    def __init__(self):
        self.node_id = os.environ.get("SPORE_NODE_ID") or str(uuid.uuid4())
        self.interval = float(os.environ.get("SPORE_HEARTBEAT_INTERVAL", "30"))
        self.invalid = 0
        host, port = os.environ["SPORE_NEXUS_HOST"], int(os.environ["SPORE_NEXUS_PORT"])
        self.socket = WebSocket(host, port, "/ws/nodes")

    def message(self, message_type, **payload):
        now = stamp()
        payload.update(message_type=message_type, timestamp=now)
        self.socket.send(json.dumps({"message_type": message_type, "payload": payload, "timestamp": now}))

    def handshake(self):
        self.message(
            "HANDSHAKE",
            node_id=self.node_id,
            node_name=os.environ.get("SPORE_NODE_NAME", "python-spore"),
            capabilities={
                "skills": ["PythonSkill"],
                "tags": ["python"],
                "cpu_cores": os.cpu_count(),
                "memory_mb": 1024,
                "has_gpu": False,
                "has_docker": False,
                "platform": sys.platform,
            },
            token=os.environ["SPORE_SHARED_TOKEN"],
        )

    def heartbeat(self):
        self.message("HEARTBEAT", node_id=self.node_id, cpu_usage=0.25, memory_usage=0.5, active_tasks=0)

    def handle(self, text):
        message = json.loads(text)
        if message["message_type"] != "EXECUTE_SKILL":
            self.invalid += 1
            say(event="invalid", message_type=message["message_type"])
            if self.invalid >= MAX_INVALID:
                raise ConnectionError("too many invalid messages")
            return
        call = message["payload"]
        # what the old code insists on
        for field in ("request_id", "node_id", "skill_name", "method_name", "parameters", "timeout", "timestamp"):
            call[field]
        uuid.UUID(call["request_id"])
        began = time.monotonic()
        success, result, error = True, None, None
        if call["method_name"] == "echo":
            result = call["parameters"]
        elif call["method_name"] == "hang":
            return
        elif call["method_name"] == "leave":
            raise ConnectionError("told to leave")
        else:
            success, error = False, f"no method {call['method_name']}"
        self.message(
            "RESPONSE",
            request_id=call["request_id"],
            node_id=self.node_id,
            success=success,
            result=result,
            error=error,
            execution_time=time.monotonic() - began,
        )

    def run(self):
        self.handshake()
        self.heartbeat()
        say(event="connected", node_id=self.node_id)
        due = time.monotonic() + self.interval
        while True:
            if self.socket.waiting(max(0.0, due - time.monotonic())):
                text = self.socket.receive()
                if text is not None:
                    self.handle(text)
            if time.monotonic() >= due:
                self.heartbeat()
                due += self.interval


if __name__ == "__main__":
    try:
        Spore().run()
    except ConnectionError as error:
        say(event="disconnected", reason=str(error))
