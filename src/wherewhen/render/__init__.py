"""What a person sees: scores painted on the pictures, and a score curve as one image."""

from wherewhen.render.chart import timeline
from wherewhen.render.curves import clock, curve
from wherewhen.render.film import overlay

__all__ = ["clock", "curve", "overlay", "timeline"]
