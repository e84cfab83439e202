"""The sections of a study that say how it is run: what is allowed, and that none is identity."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from cimsearch.errors import SpecError
from cimsearch.spec import load_study
from cimsearch.spec.execution import Cluster, Slurm, seconds_of
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

WHOLE = """
cluster:
  resources: {GPU: 1, node.big-1: 0.5}
  cache: /shared/cache
  slurm:
    partition: gpu
    account: lab-42
    qos: normal
    cores: 2
    memory_gb: 8
    gpus: 1
    wall_time: 1-12:00:00
    interface: ib0
    scratch: $SCRATCH/${USER}/cim search
    setup:
      - module load python
      - source ~/env.sh
    directives: [--constraint=avx2, -x node7]
"""


def test_a_whole_section_is_read(write: Write) -> None:
    cluster = load_study(str(write("study.yaml", TINY_STUDY + WHOLE))).spec.cluster
    assert cluster.slurm is not None
    assert cluster.slurm.wall_time_s == 36 * 3600
    assert cluster.slurm.setup == ("module load python", "source ~/env.sh")
    assert cluster.resources == {"GPU": 1.0, "node.big-1": 0.5}


def test_how_a_study_is_run_is_no_part_of_what_it_is(write: Write) -> None:
    plain = load_study(str(write("plain.yaml", TINY_STUDY)))
    assert load_study(str(write("study.yaml", TINY_STUDY + WHOLE))).hash == plain.hash


@pytest.mark.parametrize(
    ("wall_time", "seconds"),
    [("00:20:00", 1200), ("4:00:00", 14_400), ("04:30:15", 16_215), ("7-00:00:00", 604_800)],
)
def test_wall_times(wall_time: str, seconds: int) -> None:
    assert seconds_of(wall_time) == seconds
    assert Slurm(memory_gb=1, wall_time=wall_time).wall_time_s == seconds


@pytest.mark.parametrize(
    ("slurm", "said"),
    [
        ("{wall_time: 04:00:00}", "cluster.slurm.memory_gb"),
        ("{memory_gb: 4}", "cluster.slurm.wall_time"),
        ("{memory_gb: 4, wall_time: 240}", "found 240"),
        ("{memory_gb: 4, wall_time: '04:00'}", "HH:MM:SS or D-HH:MM:SS, at least 00:20:00"),
        ("{memory_gb: 4, wall_time: 00:19:59}", "HH:MM:SS or D-HH:MM:SS, at least 00:20:00"),
        ("{memory_gb: 4, wall_time: 04:99:00}", "HH:MM:SS or D-HH:MM:SS, at least 00:20:00"),
        ("{memory_gb: 4, wall_time: 04:00:00, partition: a b}", 'found "a b"'),
        ("{memory_gb: 4, wall_time: 04:00:00, account: -x}", 'found "-x"'),
        ("{memory_gb: 4, wall_time: 04:00:00, scratch: $(reboot)}", 'found "$(reboot)"'),
        ('{memory_gb: 4, wall_time: 04:00:00, scratch: "/a`b`"}', 'found "/a`b`"'),
        ("{memory_gb: 4, wall_time: 04:00:00, directives: [gpu]}", 'found "gpu"'),
        ('{memory_gb: 4, wall_time: 04:00:00, directives: ["-x a\\n-y"]}', "directives"),
        ("{memory_gb: 4, wall_time: 04:00:00, gpus: 0}", "cluster.slurm.gpus"),
        ("{memory_gb: 4, wall_time: 04:00:00, queue: x}", "cluster.slurm.queue"),
    ],
)
def test_what_slurm_cannot_be_asked_is_told(write: Write, slurm: str, said: str) -> None:
    path = write("study.yaml", f"{TINY_STUDY}cluster: {{slurm: {slurm}}}\n")
    with pytest.raises(SpecError) as caught:
        load_study(str(path))
    assert said in caught.value.message
    assert "study.yaml:" in caught.value.message


@pytest.mark.parametrize("name", ["G U", "GPU=1", "1GPU", "a,b"])
def test_a_resource_that_no_worker_can_declare_is_told(write: Write, name: str) -> None:
    path = write("study.yaml", f"{TINY_STUDY}cluster: {{resources: {{'{name}': 1}}}}\n")
    with pytest.raises(SpecError, match="allowed are letters, digits"):
        load_study(str(path))


@pytest.mark.parametrize("cache", ["/scratch/cimsearch", "~/cimsearch", "s3://bucket/cimsearch"])
def test_a_cache_is_where_every_worker_finds_it(cache: str) -> None:
    assert Cluster(cache=cache).cache == cache


@pytest.mark.parametrize(
    ("cache", "message"),
    [("scratch/cimsearch", "an absolute folder"), ("s3://me:secret@host/x", "without a password")],
)
def test_a_cache_that_workers_would_not_find_or_that_tells_a_secret_is_refused(
    cache: str, message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Cluster(cache=cache)
