"""200 seeded random networks: interpreter, unoptimised program and optimised program agree."""

import numpy as np
import pytest

from netdsl import passes
from netdsl.ir import interpret
from netdsl.passes.check import random_feeds
from netdsl.runtime import Program
from tests.random_graphs import random_graph


def run(graph, feeds, threads):
    program = Program(graph, threads=threads)
    for leaf in (*graph.leaves("param"), *graph.leaves("state")):
        program.set(leaf.id, feeds[leaf.id])
    outputs = program.run({name: feeds[name] for name in program.inputs})
    return {**outputs, **{f"update of {k}": program.get(k) for k in graph.updates}}


BLOCKS = [pytest.param(k, marks=() if k < 2 else pytest.mark.slow) for k in range(20)]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_programs_equal_the_interpreter(block, training):
    for seed in range(block * 5, block * 5 + 5):
        graph = random_graph(seed, training)
        feeds = random_feeds(graph, seed)
        expected = interpret(graph, feeds, np.float64)
        everything = {**expected.outputs, **{f"update of {k}": v for k, v in expected.updates.items()}}
        pipeline = passes.training() if training else passes.inference()
        plain, optimised = run(graph, feeds, 1), run(pipeline.run(graph), feeds, 2)
        for name, array in optimised.items():
            wanted = everything[name]
            scale = max(1.0, float(np.abs(wanted).max(initial=0)))
            for got in (plain[name], array):
                np.testing.assert_allclose(
                    got, wanted, rtol=2e-3, atol=2e-4 * scale, err_msg=f"{seed} {name}"
                )
