"""Trivial rows of every table, one file each."""
