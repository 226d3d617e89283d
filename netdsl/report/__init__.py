"""What a network is, in numbers: shapes, parameters and costs, layer by layer."""

from netdsl.report.render import render_table, to_json
from netdsl.report.summary import Row, Summary, Totals, summarize

__all__ = ["Row", "Summary", "Totals", "render_table", "summarize", "to_json"]
