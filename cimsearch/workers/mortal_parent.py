"""Imported first by the process that workers are forked from: it dies with the warden."""

from cimsearch.workers.mortal import die_with_parent

die_with_parent()
