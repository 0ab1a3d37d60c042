"""What a person sees: scores painted on the pictures, and a score curve as one image."""

from wherewhen.visualization.render.chart import timeline
from wherewhen.visualization.render.curves import clock, curve
from wherewhen.visualization.render.film import WIDEST, overlay

__all__ = ["WIDEST", "clock", "curve", "overlay", "timeline"]
