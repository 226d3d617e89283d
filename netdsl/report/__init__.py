"""What a network is made of: shapes, parameters, costs, receptive fields."""

from netdsl.report.peak_memory import Memory, Peak
from netdsl.report.render import FORMATS, render, to_json
from netdsl.report.select import Selection
from netdsl.report.summary import Row, Summary, summarize

__all__ = ["FORMATS", "Memory", "Peak", "Row", "Selection", "Summary", "render", "summarize", "to_json"]
