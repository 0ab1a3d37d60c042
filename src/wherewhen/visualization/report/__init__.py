"""What came out of a run, as one page that needs nothing but a browser."""

from wherewhen.visualization.report.page import jpeg_bytes, report
from wherewhen.visualization.report.records import Curve, EventCard, Example, Facts, Picture, ReportData, VideoResult

__all__ = ["Curve", "EventCard", "Example", "Facts", "Picture", "ReportData", "VideoResult", "jpeg_bytes", "report"]
