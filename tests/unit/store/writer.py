"""A process that writes trials until it is killed; run by `test_kill`."""

import sys
from uuid import uuid4

from cimsearch.store import open_storage
from cimsearch.store.records import add_trial, finish_evaluation, start_attempt
from tests.unit.store.builders import complete, new_evaluation, new_trial

storage = open_storage(sys.argv[1])
study_id = storage.get_study_id_from_name("study")
for k in range(100_000):
    ids = add_trial(storage, study_id, new_trial(k), evaluation=new_evaluation(), finished=None)
    sys.stdout.write(f"added {ids.number}\n")
    sys.stdout.flush()
    if ids.evaluation_id is None:
        raise RuntimeError("a trial was added without its evaluation")
    token = str(uuid4())
    start_attempt(storage, ids.evaluation_id, token=token, worker="w")
    finish_evaluation(
        storage, ids.evaluation_id, token=token, score="{}", fail_reason=None, tell=complete()
    )
    sys.stdout.write(f"told {ids.number}\n")
    sys.stdout.flush()
