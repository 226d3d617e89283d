"""Small networks as text, elaborated."""

from netdsl.elaborate import elaborate, elaborate_partial
from netdsl.report import summarize
from netdsl.source import Source

STAGES = """
block Unit(c) { in -> add { | conv(c, 3, pad = same) -> relu -> conv(c, 3, pad = same) | in } -> relu }
block Stage(n, c) { in -> conv(c, 3, stride = 2, pad = same) -> repeat n { in -> Unit(c) } }
net Stages {
  input image: [32, 32, 3]
  layer head = conv(4, 1)
  a = image -> Stage(1, 8)
  b = a -> Stage(3, 8)
  output small = a -> head
  output large = b -> head
}
"""


def graph_of(text):
    return elaborate(Source("net.net", text)).graph


def summary_of(text):
    network, _ = elaborate_partial(Source("net.net", text))
    return summarize(network.name, network.graph, network.names)
