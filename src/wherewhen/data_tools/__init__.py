"""Tools for data sets: checks, drawn videos, imported features."""
