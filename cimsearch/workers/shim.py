"""What a worker runs: JSON bytes in, JSON bytes out; torch is imported here and not before.

This is the worker boundary, the one place that may catch every exception: whatever goes wrong in
an evaluation is recorded with its reason and the study goes on.
"""

import json
import os
import socket
import traceback
from pathlib import Path
from typing import Any

from cimsearch.workers.executor import Event


def run_job(payload: bytes) -> bytes:
    """Evaluate the job in ``payload`` and return ``{"ok", "worker", "score" | "reason"}``."""
    worker = f"{socket.gethostname()}:{os.getpid()}"
    try:
        # Two contending OpenMP pools are many times slower than two single threads.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        from cimsearch.evaluate.run import evaluate_json

        answer: dict[str, Any] = {"ok": True, "score": evaluate_json(payload.decode())}
    except Exception as error:  # noqa: BLE001 - the worker boundary records and returns it
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        answer = {"ok": False, "reason": f"{type(error).__name__}: {error} ({place})"}
    return json.dumps(answer | {"worker": worker}).encode()


def event_of(token: str, answer: bytes) -> Event:
    """Return the event of an answer of ``run_job``."""
    raw = json.loads(answer)
    if raw["ok"]:
        return Event(token, "done", raw["score"].encode(), worker=raw["worker"])
    return Event(token, "failed", reason=raw["reason"], worker=raw["worker"])
