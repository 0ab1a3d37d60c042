"""Other tools' file formats, one file each, and the neutral value that all of them write and read."""

from wherewhen.formats._annotated import Annotated, Clock, events_as_boxes, from_prediction, from_truth

__all__ = ["Annotated", "Clock", "events_as_boxes", "from_prediction", "from_truth"]
