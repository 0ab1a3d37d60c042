"""Visualization: scores painted on pictures, and score curves as images."""

from wherewhen.visualization.render.chart import timeline
from wherewhen.visualization.render.curves import clock, curve
from wherewhen.visualization.render.film import WIDEST, overlay
from wherewhen.visualization.render.paint import heat

__all__ = ["WIDEST", "clock", "curve", "heat", "overlay", "timeline"]
