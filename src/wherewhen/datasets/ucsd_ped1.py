"""UCSD Ped1: people walk towards the camera and away from it; 10 of 36 test clips have masks."""

from wherewhen.datasets._ucsd import plugin
from wherewhen.measures import Usual

PLUGIN = plugin("UCSDped1", (34, 36), Usual(fps=10, width=238, height=158))
