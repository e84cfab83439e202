"""Workers that lack what every job needs: no job is blamed for that."""

from collections.abc import Iterator

import pytest

from cimsearch.errors import WorkerError
from cimsearch.workers import Demands, Executor, connect, connection
from tests.unit.workers.driving import Lent, end_of, lent, wait_for_slots
from tests.unit.workers.jobs import job, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lent]:
    with lent(tmp_path_factory.mktemp("cluster")) as made:
        made.add_worker()
        yield made


def joined(cluster: Lent, demands: Demands | None = None) -> Executor:
    return connect(workers=1, address=cluster.address, demands=demands, run=run)


def test_a_worker_with_other_sources_is_given_no_job(
    cluster: Lent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "sources_hash", lambda: "of another version")
    executor = joined(cluster)
    try:
        wait_for_slots(executor)
        executor.submit("strange", job("echo"))
        assert end_of(executor, "strange").kind == "interrupted"
        with pytest.raises(WorkerError, match="has other sources of cimsearch") as caught:
            executor.events(0.1)
        assert "this version of cimsearch" in caught.value.hint
    finally:
        executor.close()


@pytest.mark.parametrize("what", ["no_data", "no_library"])
def test_a_job_is_not_blamed_for_what_a_worker_lacks(cluster: Lent, what: str) -> None:
    executor = joined(cluster, Demands(time_s=60.0))
    try:
        wait_for_slots(executor)
        executor.submit("innocent", job(what))
        assert end_of(executor, "innocent").kind == "interrupted"
        with pytest.raises(WorkerError, match=r"the worker .* cannot run jobs: .*is not here"):
            executor.events(0.1)
    finally:
        executor.close()
