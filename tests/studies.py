"""Study files that tests run, and their databases."""

import shutil
from pathlib import Path


def copy_database(source: Path, target: Path) -> None:
    """Copy ``cimsearch.db`` with its write-ahead log, which holds the newest transactions."""
    for file in source.glob("cimsearch.db*"):
        shutil.copy(file, target)


TINY_STUDY = """
schema: cimsearch/study/1
name: tiny
summary: a study that finishes in seconds
source: made for a test
space: vgg_tiny
hardware: macros/yu_cicc_2020
data: {kind: digits, shape: [1, 8, 8], classes: 10}
genes: {adc_bits: [3, 4, 5]}
sampler: {name: optuna_nsga2, population: 4, lag: 2}
recipe: {batch: 128, parent_epochs: 2, parent_lr: 0.2, qat_lr: 0.05}
rungs:
  - {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}
budget: {trials: 4}
workers: 2
"""
