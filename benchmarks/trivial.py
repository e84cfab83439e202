"""What workers run where only the storing and handing out of trials is measured."""

import json
from hashlib import sha256

from cimsearch.evaluate.report import OnReport


def trivial(template: str, payload: bytes, on_report: OnReport) -> bytes:  # noqa: ARG001
    """Return the score ``template`` with an accuracy that follows from the job's bytes alone."""
    accuracy = sha256(payload).digest()[0] / 255
    return json.dumps(json.loads(template) | {"accuracy_per_chip": [accuracy]}).encode()
