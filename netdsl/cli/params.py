"""`netdsl params FILE`: parameters, multiply-adds and operations of every layer."""

from netdsl.cli.reporting import view

app = view("params", "Print the parameters and costs of every layer; shared weights count once.")
