"""Sinks: where alerts of cameras are sent; a file is a sink."""
