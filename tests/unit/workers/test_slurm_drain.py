"""A worker whose job ends soon: it ends its trial, takes no other, and goes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from tests.fake_slurm import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        Client(cluster) as made,
    ):
        yield made


@contextmanager
def worker(
    client: Client, folder: Path, *, leaves_in_s: float
) -> Iterator["subprocess.Popen[str]"]:
    """Start a worker as its job does."""
    assert client.cluster is not None
    address = str(client.cluster.scheduler_address)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"),
            *("--memory-limit", "0", "--no-dashboard", "--local-directory", str(folder)),
            *("--preload", "cimsearch.workers.slurm_drain"),
            *("--drain-at-s", f"{time.time() + leaves_in_s}"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        client.wait_for_workers(1, timeout=60)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_ends_its_trial_and_takes_no_other(client: Client, tmp_path: Path) -> None:
    with worker(client, tmp_path, leaves_in_s=6.0) as process:
        running = client.submit(_until, time.time() + 9.0)
        wait_for(lambda: "closing_gracefully" in _states(client))
        assert not running.done()
        refused = client.submit(_until, 0.0)
        assert running.result(timeout=60) == "it ended in its own time"
        del running
        assert process.wait(timeout=60) == 0
        assert not refused.done()
        assert not client.scheduler_info()["workers"]


def test_one_without_a_trial_goes_at_once(client: Client, tmp_path: Path) -> None:
    with worker(client, tmp_path, leaves_in_s=0.0) as process:
        assert process.wait(timeout=60) == 0
        # Its nanny has not started another.
        assert not list(tmp_path.glob("dask-scratch-space/worker-*"))


def _states(client: Client) -> list[str]:
    known = client.scheduler_info(n_workers=-1)["workers"]
    return [worker["status"] for worker in known.values()]


def _until(end_s: float) -> str:
    time.sleep(max(0.0, end_s - time.time()))
    return "it ended in its own time"
