"""Boxes and tubes, one file each."""
