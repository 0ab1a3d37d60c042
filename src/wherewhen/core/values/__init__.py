"""The values that all modules exchange: frozen records, validated when created.

Seconds count from the start of the file; every range is half-open; scores are in [0, 1], higher = more anomalous.
"""

from wherewhen.core.values.arrays import ALWAYS, Features, Floats, Masks, Pixels, unit
from wherewhen.core.values.frames import Clip, Frame, Pictures
from wherewhen.core.values.instances import Bag, Grid, Instances, Paths
from wherewhen.core.values.predictions import Event, HeatMap, Prediction, Truth
from wherewhen.core.values.scores import Boxes, Scores
from wherewhen.core.values.videos import Dataset, Fold, Video

__all__ = [
    "ALWAYS", "Bag", "Boxes", "Clip", "Dataset", "Event", "Features", "Floats", "Fold", "Frame", "Grid", "HeatMap",
    "Instances", "Masks", "Paths", "Pictures", "Pixels", "Prediction", "Scores", "Truth", "Video", "unit",
]  # fmt: skip
