"""Reports: the results of a run as one self-contained HTML page."""

from wherewhen.visualization.report.page import jpeg_bytes, report
from wherewhen.visualization.report.records import Curve, EventCard, Example, Facts, Picture, ReportData, VideoResult

__all__ = ["Curve", "EventCard", "Example", "Facts", "Picture", "ReportData", "VideoResult", "jpeg_bytes", "report"]
