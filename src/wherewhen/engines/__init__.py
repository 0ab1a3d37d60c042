"""Engines that run networks."""
