"""The rewriting engine: replaced nodes, kept nodes, renamed leaves with updates."""

from netdsl.ir import TensorType, Value, transform, verify
from netdsl.ops import BY_NAME
from netdsl.primitives import Input, PrimitiveBuilder, State


def test_replace_and_keep():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2, 3))), name="x")
    s = b.add1(State(TensorType((2, 3))), name="s")
    y = b.add1(BY_NAME["relu"](), x, name="y")
    z = b.add1(BY_NAME["tanh"](), y, name="z")
    b.update(s, z)
    graph = b.finish({"y": y, "z": z}, aux=["y"])

    def no_relu(_, node, inputs):
        return inputs if node.op.name == "relu" else None

    new = verify(transform(graph, no_relu, PrimitiveBuilder()))
    assert new.outputs == {"y": Value("x"), "z": Value("z")}
    assert new["z"].inputs == (Value("x"),) and "y" not in new
    assert new.updates == {"s": Value("z")} and new.aux == {"y"}
