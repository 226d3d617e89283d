"""`fold_batch_norm`: a scale per channel after a contraction moves into its kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from netdsl.compat import override
from netdsl.cost import facts
from netdsl.ir import Node, Value
from netdsl.passes.affine import affine
from netdsl.passes.base import Rewrite
from netdsl.passes.body import Body
from netdsl.passes.edit import Edit
from netdsl.passes.log import Log
from netdsl.primitives import Contract, Map
from netdsl.scalar import Arg, Expr, Lit
from netdsl.source import counted


@dataclass(frozen=True)
class Chain:
    """A contraction and maps after it, which together are `body`, an affine function of its result."""

    contract: Node
    maps: tuple[Node, ...]
    body: Body

    @property
    def end(self) -> Value:
        """The value of the last map, or of the contraction."""
        return (self.maps[-1] if self.maps else self.contract).outputs[0]

    def parts(self) -> tuple[Expr, Expr]:
        """`(scale, shift)` over the operands of the body."""
        found = affine(self.body.exprs[0], self.body.operands.index(self.contract.outputs[0]))
        assert found is not None
        return found


@dataclass(frozen=True)
class FoldBatchNorm(Rewrite[Chain]):
    """`contract(x, w) * scale + shift` becomes `contract(x, w * scale) + shift`.

    Only where scale and shift hold one number per channel and are made of weights that are not updated: then the
    new kernel is computed once per set of weights, not at every run.  For inference, and what training has frozen.
    Source: Jacob et al., "Quantization and Training of Neural Networks", 2018, section 3.2.
    """

    name: ClassVar[str] = "fold_batch_norm"

    def match(self, edit: Edit, node: Node) -> Iterator[Chain]:
        """The longest chain that can be folded, else one that cannot, so that `check` gives the reason."""
        if (
            not isinstance(node.op, Contract)
            or node.op.epilogue is not None
            or node.op.role == "backward_weights"
        ):
            return
        value = node.outputs[0]
        for legal in (True, False):
            chain = Chain(node, (), Body((Arg(0),), (value,), node.types[0].shape))
            while (longer := _extended(edit, chain, legal)) is not None:
                chain = longer
            if not isinstance(chain.parts()[0], Lit):
                yield chain
                return

    def check(self, edit: Edit, match: Chain) -> str | None:
        """Everything in between must be read once, every weight must stay, channels must be one axis."""
        node = match.contract
        assert isinstance(node.op, Contract)
        for step in (node, *match.maps[:-1]):
            if edit.is_result(step.outputs[0]):
                return f"{step.id} is a result of the graph"
            if (uses := len(edit.users(step.outputs[0]))) > 1:
                return f"{step.id} has {counted(uses, 'use')}"
        others = [v for v in match.body.operands if v != node.outputs[0]]
        for value in (node.inputs[1], *others):
            if value.node not in edit.weight_only:
                return f"{value.node} changes from run to run"
        if node.op.role == "backward_data" and node.op.groups > 1:
            return "a transposed convolution in groups has no kernel axis for the channels of its result"
        return None

    def rewrite(self, edit: Edit, match: Chain, log: Log) -> None:
        """Scale the kernel, keep the shift as a bias in the place of the last map."""
        node, last = match.contract, match.maps[-1]
        assert isinstance(node.op, Contract)
        scale, shift = match.parts()
        with edit.within(last):
            factor = _per_channel(edit, match, scale)
            if node.op.role == "backward_data":
                factor = edit.reshape(factor, (edit.type(factor).size, 1))
            kernel = edit.map(lambda w, s: w * s, node.inputs[1], factor)
            bias = _per_channel(edit, match, shift)
        saved = 2 * node.types[0].nbytes * (len(match.maps) - 1)
        log.rewrote(self.name, self.nodes(edit, match), f"scale folded into {node.inputs[1]}", saved)
        edit.replace(node, node.op, (node.inputs[0], kernel), merged=match.maps)
        edit.replace(last, Map((Arg(0) + Arg(1),)), (node.outputs[0], bias), merged=(node, *match.maps))
        for old in reversed(match.maps[:-1]):
            edit.remove(old)

    @override
    def nodes(self, edit: Edit, match: Chain) -> tuple[Node, ...]:
        return (match.contract, *match.maps)


def _extended(edit: Edit, chain: Chain, legal: bool) -> Chain | None:
    """The chain with the next map, or None where it ends; `legal` stops where `check` would refuse."""
    t = edit.type(chain.end)
    users = edit.users(chain.end)
    if legal and (len(users) != 1 or edit.is_result(chain.end)):
        return None
    for user in users:
        if not isinstance(user.op, Map) or user.types != (t,) or facts(user.op.exprs[0]).placed:
            continue
        others = [v for v in user.inputs if v != chain.end]
        if any(not _is_per_channel(edit.type(v).shape, t.shape[-1]) for v in others):
            continue
        if legal and any(v.node not in edit.weight_only for v in others):
            continue
        body = Body(user.op.exprs, user.inputs, t.shape).inline(chain.end, chain.body).compact()
        value = chain.contract.outputs[0]
        if value in body.operands and affine(body.exprs[0], body.operands.index(value)) is not None:
            return Chain(chain.contract, (*chain.maps, user), body)
    return None


def _per_channel(edit: Edit, chain: Chain, e: Expr) -> Value:
    """An expression over weights as a value of shape `[channels]`."""
    channels = chain.contract.types[0].shape[-1]
    body = Body((e,), chain.body.operands, (channels,)).compact()
    flat = [edit.reshape(v, (edit.type(v).size,)) for v in body.operands]
    return edit.map_expr(body.exprs[0], *flat, shape=(channels,))


def _is_per_channel(shape: tuple[int, ...], channels: int) -> bool:
    """Whether a value broadcasts along all axes but the last."""
    return all(s == 1 for s in shape[:-1]) and (not shape or shape[-1] in (1, channels))
