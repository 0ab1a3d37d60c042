"""What came out of a run, as one page that needs nothing but a browser."""

from wherewhen.report.page import jpeg_bytes, report
from wherewhen.report.records import Curve, EventCard, Example, Facts, Picture, ReportData, VideoResult

__all__ = ["Curve", "EventCard", "Example", "Facts", "Picture", "ReportData", "VideoResult", "jpeg_bytes", "report"]
