"""Celery's side of the task-queue benchmark; see ../README.md for what is measured and why it is set so.

    python peer.py REDIS_PORT throughput N | latency N | speedup

Prints one line of JSON. Workers are `celery worker` processes that end with this one.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time

PORT, SCENARIO, *ARGUMENTS = sys.argv[1:]
os.environ["VENOM_BENCH_REDIS_PORT"] = PORT
if SCENARIO == "speedup":
    os.environ["VENOM_BENCH_ONE_AT_A_TIME"] = "1"

import redis  # noqa: E402
from celery import Celery  # noqa: E402

import tasks  # noqa: E402

PATIENCE = 30
TEXT = "forty bytes of JSON."
results = redis.Redis(port=int(PORT), db=1)
# A producer that asks for no result needs no backend; with one, each call subscribes to a channel first.
producer_app = Celery("bench", broker=tasks.app.conf.broker_url)


def die_with_parent():
    """Linux: the kernel ends this process when the driver is gone, however it went."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextlib.contextmanager
def workers(count):
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--loglevel", "ERROR"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    here = os.path.dirname(os.path.abspath(__file__))
    running = [
        subprocess.Popen(
            [*command, "--hostname", f"worker{number}@localhost"],
            cwd=here,
            # Celery warns of each worker that runs as root, as on a build machine.
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        for number in range(count)
    ]
    try:
        yield running
    finally:
        for worker in running:
            worker.terminate()
        for worker in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(5)
            worker.kill()
            worker.wait()


def consumers_ready(count):
    """Waits until every worker answers."""
    deadline = time.monotonic() + PATIENCE
    while len(tasks.app.control.ping(timeout=0.5)) < count:
        if time.monotonic() > deadline:
            sys.exit("the workers did not start")


def recorded(count):
    """Waits until so many results are there; gives up when none comes for a while."""
    seen, moved = 0, time.monotonic()
    while (now := results.dbsize()) < count:
        if now > seen:
            seen, moved = now, time.monotonic()
        if time.monotonic() - moved > PATIENCE:
            sys.exit(f"stuck at {now} of {count} results")
        time.sleep(0.005)


def enqueue(count):
    with producer_app.producer_or_acquire() as producer:
        for item in range(count):
            producer_app.send_task("tasks.noop", (item, TEXT), producer=producer)


def resident_mib(pid):
    """Of a process and its children."""
    total = 0.0
    children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    for process in [pid, *children]:
        for line in open(f"/proc/{process}/status"):
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) / 1024
    return total


def throughput(count):
    count = int(count)
    with workers(2) as running:
        consumers_ready(2)
        warm_up = 200
        enqueue(warm_up)
        recorded(warm_up)
        tasks.app.control.cancel_consumer("celery", reply=True)
        began = time.perf_counter()
        enqueue(count)
        enqueue_s = time.perf_counter() - began
        began = time.perf_counter()
        tasks.app.control.add_consumer("celery")
        recorded(warm_up + count)
        consume_s = time.perf_counter() - began
        rss = sum(resident_mib(worker.pid) for worker in running)
    return {"tasks": count, "enqueue_s": enqueue_s, "consume_s": consume_s, "worker_rss_mib": rss}


def latency(count):
    samples = []
    with workers(2):
        consumers_ready(2)
        for number in range(int(count) + 20):
            began = time.perf_counter()
            tasks.noop.delay(number, TEXT).get(timeout=PATIENCE)
            if number >= 20:
                samples.append((time.perf_counter() - began) * 1e3)
    samples.sort()

    def at(share):
        return samples[round((len(samples) - 1) * share)]

    return {"p50_ms": at(0.5), "p99_ms": at(0.99)}


def speedup():
    with workers(5):
        consumers_ready(5)
        began = time.perf_counter()
        for _ in range(20):
            producer_app.send_task("tasks.doze", (0.5,))
        recorded(20)
        elapsed = time.perf_counter() - began
    return {"elapsed_s": elapsed}


SCENARIOS = {"throughput": throughput, "latency": latency, "speedup": speedup}
if SCENARIO not in SCENARIOS:
    sys.exit("usage: peer.py REDIS_PORT throughput N | latency N | speedup")
print(json.dumps({"scenario": SCENARIO, **SCENARIOS[SCENARIO](*ARGUMENTS)}))
