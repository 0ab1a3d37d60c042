"""UCSD Ped1: people walk towards the camera and away from it; 10 of 36 test clips have masks."""

from wherewhen.core.video_info import Usual
from wherewhen.datasets._ucsd import plugin

PLUGIN = plugin("UCSDped1", (34, 36), Usual(fps=10, width=238, height=158))
