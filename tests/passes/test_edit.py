import pytest

from netdsl.ir import TensorType, Value, verify
from netdsl.passes.edit import Edit
from netdsl.primitives import Input, Map, PrimitiveBuilder, State
from netdsl.scalar import Arg


def chain():
    b = PrimitiveBuilder()
    x = b.add1(Input(TensorType((2,))), name="x")
    s = b.add1(State(TensorType((2,))), name="s")
    y = b.add1(Map((Arg(0) + Arg(1),)), x, s, name="y")
    z = b.add1(Map((Arg(0) * Arg(0),)), y, name="z")
    b.update(s, y)
    return b.finish({"z": z})


def test_an_untouched_graph_comes_back_itself():
    graph = chain()
    assert Edit(graph).done() is graph


def test_users_and_results():
    edit = Edit(chain())
    assert [n.id for n in edit.users(Value("y"))] == ["z"]
    assert edit.is_result(Value("y")) and not edit.is_result(Value("x"))


def test_redirect_reaches_outputs_and_updates():
    edit = Edit(chain())
    edit.redirect(Value("y"), Value("x"))
    edit.remove(edit.nodes["y"])
    graph = verify(edit.done())
    assert graph.updates == {"s": Value("x")}
    assert graph["z"].inputs == (Value("x"),)


def test_a_new_node_that_nothing_reads_is_there():
    edit = Edit(chain())
    twice = edit.map(lambda a: a * 2.0, Value("x"))
    assert twice.node in [n.id for n in edit.done()]


def test_new_nodes_come_before_their_readers():
    edit = Edit(chain())
    twice = edit.map(lambda a: a * 2.0, Value("x"))
    edit.replace(edit.nodes["y"], edit.nodes["y"].op, (twice, Value("s")))
    order = [n.id for n in verify(edit.done())]
    assert order.index(twice.node) < order.index("y")


def test_mistakes_of_passes_are_caught():
    edit = Edit(chain())
    with pytest.raises(AssertionError, match="still read"):
        edit.remove(edit.nodes["y"])
    with pytest.raises(AssertionError, match="in the place of"):
        edit.replace(edit.nodes["y"], Map((Arg(0) > 0.0,)), (Value("x"),))
    edit.replace(edit.nodes["y"], edit.nodes["y"].op, (Value("z"), Value("s")))
    with pytest.raises(AssertionError, match="depends on itself"):
        edit.done()
