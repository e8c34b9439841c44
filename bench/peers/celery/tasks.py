"""The Celery app and its tasks; VENOM_BENCH_REDIS_PORT says where Redis is."""

import os
import time

from celery import Celery

PORT = os.environ["VENOM_BENCH_REDIS_PORT"]

# Results in a database of their own, so that its size is how many there are.
app = Celery("bench", broker=f"redis://127.0.0.1:{PORT}/0", backend=f"redis://127.0.0.1:{PORT}/1")
app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
# How the workers take tasks: see ../README.md.
if os.environ.get("VENOM_BENCH_ONE_AT_A_TIME"):
    app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)
else:
    app.conf.update(worker_prefetch_multiplier=100)


@app.task
def noop(item, text):
    return {"ok": True}


@app.task
def doze(seconds):
    time.sleep(seconds)
    return {"ok": True}
