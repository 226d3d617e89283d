"""One view of the three primitives that compute scalar expressions: map, reduce, and a contract's epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from netdsl.ir import Node, Op, TensorType, Value, broadcast_shapes
from netdsl.passes.edit import Edit
from netdsl.primitives import Contract, Map, Reduce
from netdsl.primitives.map import common_shape
from netdsl.scalar import Arg, Expr, substitute, walk


@dataclass(frozen=True)
class Body:
    """Expressions over operands (`Arg(k)` is `operands[k]`) in an iteration space.

    The first `leading` operands keep their places whatever happens: in the body of a contract operand 0 is the
    sum itself, named by the contract's own value.
    """

    exprs: tuple[Expr, ...]
    operands: tuple[Value, ...]
    space: tuple[int, ...]
    leading: int = 0

    def inline(self, value: Value, producer: Body) -> Body:
        """The body with the only expression of `producer` in the place of its operand `value`."""
        (inner,) = producer.exprs
        start = len(self.operands)
        shifted = {k: Arg(start + k) for k in range(len(producer.operands))}
        inner = substitute(inner, lambda x: shifted[x.index] if isinstance(x, Arg) else None)
        return self.put(value, inner, producer.operands)

    def put(self, value: Value, e: Expr, operands: Sequence[Value] = ()) -> Body:
        """The body with `e` in the place of its operand `value`; `operands` are added behind the others."""
        places = {k for k, v in enumerate(self.operands) if v == value}
        exprs = tuple(
            substitute(x, lambda y: e if isinstance(y, Arg) and y.index in places else None)
            for x in self.exprs
        )
        return self._with(exprs, (*self.operands, *operands))

    def joined(self, other: Body) -> Body:
        """The expressions of both, those of this body first."""
        start = len(self.operands)
        exprs = tuple(
            substitute(e, lambda x: Arg(start + x.index) if isinstance(x, Arg) else None) for e in other.exprs
        )
        return self._with((*self.exprs, *exprs), (*self.operands, *other.operands))

    def compact(self) -> Body:
        """The body with the operands that are used, each once, in the order of their first use."""
        if self._is_compact():
            return self
        order = {v: k for k, v in enumerate(self.operands[: self.leading])}

        def leaf(x: Expr) -> Expr | None:
            if not isinstance(x, Arg):
                return None
            index = order.setdefault(self.operands[x.index], len(order))
            return x if x.index == index else Arg(index)

        exprs = tuple(substitute(e, leaf) for e in self.exprs)
        return self._with(exprs, tuple(order))

    def _with(self, exprs: tuple[Expr, ...], operands: tuple[Value, ...]) -> Body:
        return Body(exprs, operands, self.space, self.leading)

    def _is_compact(self) -> bool:
        order = dict.fromkeys(range(self.leading))
        for e in self.exprs:
            order |= dict.fromkeys(places(e))
        return list(order) == list(range(len(self.operands))) == [*range(len(set(self.operands)))]


@lru_cache(maxsize=8192)
def places(e: Expr) -> tuple[int, ...]:
    """The operands of an expression by number, in the order of their first use."""
    return tuple(dict.fromkeys(x.index for x in walk(e) if isinstance(x, Arg)))


def body_of(edit: Edit, node: Node) -> Body | None:
    """The scalar body of a node, or None where it has none."""
    op = node.op
    if isinstance(op, Map):
        return Body(op.exprs, node.inputs, node.types[0].shape)
    if isinstance(op, Reduce):
        space = common_shape([edit.type(v) for v in node.inputs], op.shape)
        return Body((op.expr,), node.inputs, space)
    if isinstance(op, Contract) and op.epilogue is not None:
        return Body((op.epilogue,), (Value(node.id), *node.inputs[2:]), node.types[0].shape, leading=1)
    return None


def with_body(edit: Edit, node: Node, body: Body) -> tuple[Op, tuple[Value, ...]]:
    """The op and operands of `node` with another body over the same space."""
    op = node.op
    small = body.compact()
    if isinstance(op, Contract):
        epilogue = None if small.exprs == (Arg(0),) else small.exprs[0]
        return replace(op, epilogue=epilogue), (*node.inputs[:2], *small.operands[1:])
    shape = stated_shape([edit.type(v) for v in small.operands], small.space)
    if isinstance(op, Map):
        return replace(op, exprs=small.exprs, shape=shape), small.operands
    if isinstance(op, Reduce):
        return replace(op, expr=small.exprs[0], shape=shape), small.operands
    raise AssertionError(f"{node.id} ({op.name}) has no scalar body")


def stated_shape(types: Sequence[TensorType], space: tuple[int, ...]) -> tuple[int, ...] | None:
    """What a map over operands of these types must say of its shape: nothing where they make up the space."""
    return None if broadcast_shapes(*(t.shape for t in types)) == space else space


def reads_only_in_body(node: Node, value: Value) -> bool:
    """Whether a node reads a value in scalar expressions and nowhere else."""
    if isinstance(node.op, Contract):
        return node.op.epilogue is not None and value not in node.inputs[:2]
    return isinstance(node.op, (Map, Reduce))
