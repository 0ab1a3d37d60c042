"""Scores to heat maps, boxes, tubes and events."""
