"""UCSD Ped2: people walk past the camera; every test clip has masks."""

from wherewhen.core.video_info import Usual
from wherewhen.datasets._ucsd import plugin

PLUGIN = plugin("UCSDped2", (16, 12), Usual(fps=10, width=360, height=240))
