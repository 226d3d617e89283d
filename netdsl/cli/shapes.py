"""`netdsl shapes FILE`: the output shape of every layer, up to the first mistake."""

from netdsl.cli.reporting import view

app = view("shapes", "Print the output shape of every layer (channels last, without the batch).")
