"""UCSD Ped2: people walk past the camera; every test clip has masks."""

from wherewhen.datasets._ucsd import plugin
from wherewhen.measures import Usual

PLUGIN = plugin("UCSDped2", (16, 12), Usual(fps=10, width=360, height=240))
