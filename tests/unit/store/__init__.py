"""Tests of `cimsearch.store`."""
