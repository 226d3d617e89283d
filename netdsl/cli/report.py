"""`netdsl report FILE`: all that is known of every layer before it runs."""

from netdsl.cli.reporting import view

app = view("report", "Print shapes, parameters, costs, memory, receptive fields and arithmetic intensity.")
