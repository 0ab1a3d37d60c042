"""Training of methods on bags of instances."""
