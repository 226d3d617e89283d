"""The syntax tree of a `.net` file: what is written, before its meaning is known.

Every node has the `span` it was read from. Spans are not compared: two nodes are equal when their text means
the same, wherever it stands. A walk over the tree may recurse, because the depth is limited.
"""

from collections.abc import Iterator
from dataclasses import field
from typing import ClassVar, Literal

from netdsl.source import Span
from netdsl.syntax.record import Record


class Node(Record):
    """The root of all tree classes."""

    span: Span = field(kw_only=True)

    @property
    def children(self) -> list["Node"]:
        """The nodes directly below, in the order of the fields."""
        found: list[Node] = []
        for value in vars(self).values():
            if isinstance(value, Node):
                found.append(value)
            elif isinstance(value, tuple):
                found += value
        return found

    def walk(self) -> Iterator["Node"]:
        """This node and all nodes below it, parents first."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


# Expressions


class Expr(Node):
    """An expression: a setting, a function or a tensor."""


class Name(Expr):
    """`relu`, `x`, `Bottleneck`; also every name that is being defined."""

    id: str


class In(Expr):
    """`in`: the input of the enclosing block or `repeat`."""


class Constant(Expr):
    """A number, string, `true`, `false` or `none`; `text` is its spelling in the source.

    Integers are exact Python `int`s, other numbers are finite `float`s.
    """

    value: int | float | str | bool | None
    text: str


class List(Expr):
    """`[a, b]`."""

    items: tuple[Expr, ...]


class Tuple(Expr):
    """`(a, b)`; `(a,)` has one item, and none has no item."""

    items: tuple[Expr, ...]


class Unary(Expr):
    """`-x` or `not x`."""

    op: Literal["-", "not"]
    operand: Expr


BinaryOp = Literal[
    "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<=", ">=", "<", ">", "and", "or"
]  # fmt: skip


class Binary(Expr):
    """Arithmetic, comparison or logic on two operands."""

    op: BinaryOp
    left: Expr
    right: Expr


class Conditional(Expr):
    """`then if condition else otherwise`."""

    then: Expr
    condition: Expr
    otherwise: Expr


class Argument(Node):
    """One argument of a call or tag, by position (`name` is None) or by keyword."""

    name: Name | None
    value: Expr


class Call(Expr):
    """`function(arguments)`; positional arguments come first and keywords are distinct."""

    function: Expr
    arguments: tuple[Argument, ...]


class Index(Expr):
    """`value[index]`."""

    value: Expr
    index: Expr


class Attribute(Expr):
    """`value.name`, as in `rn.ResNet` or `mnist.train`."""

    value: Expr
    name: Name


class Tag(Node):
    """`@freeze`, `@lr(0.1)`."""

    name: Name
    arguments: tuple[Argument, ...]


class Tagged(Expr):
    """`value @tag @tag`: in `x -> conv(8, 3) @freeze` the value is the step `conv(8, 3)` alone."""

    value: Expr
    tags: tuple[Tag, ...]


class Pipe(Expr):
    """`head -> step -> step`: at least one step.

    A step stands for a function: a `Name`, `Call`, `Attribute`, `Index`, `Merge`, `Repeat`, one of these `Tagged`,
    or in parentheses a `Pipe` of functions or a `Conditional` between functions; never a constant, list or tuple.
    As a branch of a `Merge` the head is a function as well, and is fed the value that reaches the merge.
    """

    head: Expr
    steps: tuple[Expr, ...]


class Merge(Expr):
    """`concat { | a | b }`: every branch is fed the same value, `function` merges the results.

    A branch is a function, a `Pipe` of functions, or a `Conditional` between these.
    """

    function: Expr
    branches: tuple[Expr, ...]


class Repeat(Expr):
    """`repeat count { body }`: a step; every turn is fed, as `in`, what the turn before gave."""

    count: Expr
    body: tuple["Statement", ...]


class Range(Expr):
    """`start..stop`, the stop excluded; only behind the `in` of a `for`."""

    start: Expr
    stop: Expr


# Statements


class Statement(Node):
    """One line of a body."""


class Evaluate(Statement):
    """An expression that stands alone; the last one is the result of its block."""

    value: Expr


class Assign(Statement):
    """`a = value`, `skip[i] = value`, `a, b = value`: targets are `Name` or `Index` of a `Name`.

    Several targets unpack the value.
    """

    targets: tuple[Name | Index, ...]
    value: Expr


class Dim(Node):
    """One axis of an input: `28`, or `H = 224` with a name that can be set from outside."""

    name: Name | None
    size: Expr


class Input(Statement):
    """`input image: [H = 224, W = 224, 3] where H >= 32`: axes without the batch, channels last."""

    name: Name
    dims: tuple[Dim, ...]
    where: Expr | None


class Output(Statement):
    """`output logits = value`, `output boxes, scores = value`: several names unpack the value."""

    names: tuple[Name, ...]
    value: Expr


class Aux(Statement):
    """`aux head1 = value`: outputs in training only."""

    names: tuple[Name, ...]
    value: Expr


class Layer(Statement):
    """`layer head = Head(9)`: one instance, its weights shared by all uses."""

    name: Name
    value: Expr


class Assert(Statement):
    """`assert condition`."""

    condition: Expr


class For(Statement):
    """`for targets in iterable { body }`; several targets unpack each item."""

    targets: tuple[Name, ...]
    iterable: Expr
    body: tuple[Statement, ...]


class If(Statement):
    """`if condition { body } else { otherwise }`; `else if` is an `If` alone in `otherwise`."""

    condition: Expr
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


# What a file is made of


class Item(Node):
    """One definition of a file."""


class Import(Item):
    """`import "resnet.net" as rn`; without a name the definitions are brought in as they are."""

    path: Constant
    alias: Name | None


class Param(Node):
    """A setting of a block or net, required where it has no default."""

    name: Name
    default: Expr | None


class Block(Item):
    """`block Merge(c) in top, lateral { … }`; without named `inputs` there is one, called `in`."""

    name: Name
    params: tuple[Param, ...]
    inputs: tuple[Name, ...]
    body: tuple[Statement, ...]


class Net(Item):
    """`net LeNet5(classes = 10) { … }`."""

    name: Name
    params: tuple[Param, ...]
    body: tuple[Statement, ...]


class Setting(Node):
    """`epochs = 12` in a section."""

    name: Name
    value: Expr


class Claim(Node):
    """`params == 61_706` in `expect`."""

    condition: Expr


class Preset(Item):
    """`preset resnet34 { unit = Basic; params == 21_797_672 }`: settings of the net, and claims about it."""

    name: Name
    entries: tuple[Setting | Claim, ...]


SectionKind = Literal["data", "train", "eval", "expect"]


class Section(Item):
    """`train { … }`: an `expect` section holds claims, the others settings with distinct names."""

    KINDS: ClassVar[tuple[SectionKind, ...]] = ("data", "train", "eval", "expect")

    kind: SectionKind
    entries: tuple[Setting | Claim, ...]


class File(Node):
    """A whole file: definitions have distinct names, and there is at most one section of each kind."""

    items: tuple[Item, ...]

    @property
    def imports(self) -> tuple[Import, ...]:
        """The imports, in order."""
        return tuple(item for item in self.items if isinstance(item, Import))

    @property
    def blocks(self) -> dict[str, Block]:
        """The blocks by name."""
        return {item.name.id: item for item in self.items if isinstance(item, Block)}

    @property
    def nets(self) -> dict[str, Net]:
        """The nets by name."""
        return {item.name.id: item for item in self.items if isinstance(item, Net)}

    @property
    def presets(self) -> dict[str, Preset]:
        """The presets by name."""
        return {item.name.id: item for item in self.items if isinstance(item, Preset)}

    @property
    def sections(self) -> dict[str, Section]:
        """The sections by kind."""
        return {item.kind: item for item in self.items if isinstance(item, Section)}
