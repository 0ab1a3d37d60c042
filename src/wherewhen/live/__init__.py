"""Cameras in, alerts out: the service behind ``wherewhen watch``."""
