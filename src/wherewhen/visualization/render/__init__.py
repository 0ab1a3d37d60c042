"""Visualization: scores painted on pictures, and score curves as images."""

from wherewhen.visualization.render.chart import timeline
from wherewhen.visualization.render.curves import clock, curve
from wherewhen.visualization.render.film import WIDEST, overlay

__all__ = ["WIDEST", "clock", "curve", "overlay", "timeline"]
