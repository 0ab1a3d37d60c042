"""Models: instances to scores, heat maps and events."""
