"""Builders of instances, one file each."""
