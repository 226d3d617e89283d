"""What `fuse_epilogue` says it saves is what the planned steps show."""

import pytest

from netdsl.backend.lower import lower
from netdsl.cpu.target import CpuTarget
from netdsl.elaborate import elaborate
from netdsl.ops.expand import expand
from netdsl.passes import Log
from netdsl.passes.fuse_epilogue import FuseEpilogue
from netdsl.primitives import Contract, Map
from netdsl.schedule import make_schedule
from netdsl.source import Source

# The layer behind a convolution with a bias, and whether the kernel does it while it stores.
LAYERS = {
    "relu": True,
    "relu6": True,
    "clip(-0.5, 0.5)": True,
    "identity": True,
    "leaky_relu": False,
    "silu": False,
    "hard_swish": False,
    "elu": False,
    "tanh": False,
    "sigmoid": False,
    "gelu": False,
}


def graph_of(layers):
    text = f"net E {{\n  input x: [6, 6, 4]\n  c = x -> conv(4, 3, pad = 1)\n  output y = {layers}\n}}\n"
    return expand(elaborate(Source("e.net", text), 2).graph)


def map_steps(graph):
    """Passes over memory that are maps, be it as nodes or as steps of a contraction."""
    lowered = lower(make_schedule(graph), CpuTarget(2))
    assert any(isinstance(call.node.op, Contract) for call in lowered.run)
    return sum(step.driver == "map" for call in lowered.run for step in call.steps)


@pytest.mark.parametrize("ending", ["{0}", "x + {0}", "{0} + x", "relu({0} + x)", "{0} -> conv(4, 1) -> {1}"])
@pytest.mark.parametrize("layer", LAYERS)
def test_claims_are_confirmed(layer, ending):
    once = f"c -> {layer}"
    layers = ending.format(f"({once})" if "+" in ending else once, layer)
    before = graph_of(layers)
    log = Log()
    after = FuseEpilogue().run(before, log)
    size = 2 * 2 * 6 * 6 * 4 * 4  # bytes of a result, read and written
    assert log.bytes_saved == size * (map_steps(before) - map_steps(after))
    if ending == "{0}":
        assert (map_steps(after) == 0) == LAYERS[layer]
    assert sum(isinstance(n.op, Map) for n in before) > 0
