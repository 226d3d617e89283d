"""The nodes of our tree, made of Lark's: one method per rule of the grammar, its arguments what is below."""

from collections.abc import Sequence
from typing import Any

from lark import Token, Tree

from netdsl.limits import MAX_TREE_DEPTH
from netdsl.source import Diagnostic, NetError, Source, Span
from netdsl.syntax import tree as t
from netdsl.syntax.lalr import parse
from netdsl.syntax.scan import Lexeme

_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "t": "\t"}
_WORDS = {"true": True, "false": False, "none": None}


def build(source: Source, code: Sequence[Lexeme]) -> tuple[t.File, list[Diagnostic]]:
    """The file that the code of a source says, and what is wrong with its constants.

    Raises `Unexpected`, and `NetError` where the tree is too deep.
    """
    builder = _Builder(source)
    file = builder.build(parse(code))
    _check_depth(file)
    return file, builder.problems


def _check_depth(file: t.File) -> None:
    """Level by level, without recursion; only then may others recurse."""
    level: list[t.Node] = [file]
    for _ in range(MAX_TREE_DEPTH):
        if not level:
            return
        deepest = level[0]
        level = [child for node in level for child in node.children]
    message = f"nested deeper than {MAX_TREE_DEPTH} levels"
    raise NetError(Diagnostic("limit", message, deepest.span, fix="give the parts names of their own"))


class _Builder:
    """Makes the nodes; `None` stands for an optional part that was not written.

    What is wrong with a constant goes to `problems`.
    """

    def __init__(self, source: Source):
        self.source = source
        self.problems: list[Diagnostic] = []

    def build(self, tree: Tree[Token]) -> t.File:
        """The node of the whole, from the leaves up and without recursion: texts nest deeper than Python's stack."""
        made: dict[int, Any] = {}
        for part in tree.iter_subtrees():
            place = self.span(0, 0) if part.meta.empty else self.span(part.meta.start_pos, part.meta.end_pos)
            children = (made[id(c)] if isinstance(c, Tree) else self._leaf(c) for c in part.children)
            made[id(part)] = getattr(self, f"on_{part.data}")(place, *children)
        file: t.File = made[id(tree)]
        return file

    def _leaf(self, token: Token | None) -> t.Name | Token | None:
        """What stands for a terminal: a name, or the token itself."""
        if token is None or token.type != "NAME":
            return token
        return t.Name(token.value, span=self._place(token))

    def _place(self, token: Token) -> Span:
        assert token.start_pos is not None and token.end_pos is not None
        return self.span(token.start_pos, token.end_pos)

    def span(self, start: int, end: int) -> Span:
        """A place in the source."""
        return Span(self.source, start, end)

    def on_file(self, span: Span, *items: t.Item) -> t.File:
        return t.File(items, span=self.span(0, len(self.source.text)))

    # Items

    def on_import(self, span: Span, path: Token, alias: t.Name | None) -> t.Import:
        return t.Import(self.on_constant(self._place(path), path), alias, span=span)

    def on_block(self, span: Span, name: t.Name, params: Any, inputs: Any, body: Any) -> t.Block:
        return t.Block(name, params or (), inputs or (), body, span=span)

    def on_net(self, span: Span, name: t.Name, params: Any, body: Any) -> t.Net:
        return t.Net(name, params or (), body, span=span)

    def on_preset(self, span: Span, name: t.Name, *entries: t.Setting | t.Claim) -> t.Preset:
        return t.Preset(name, entries, span=span)

    def on_section(self, span: Span, kind: Token, *entries: t.Setting | t.Claim) -> t.Section:
        return t.Section(kind.value, entries, span=span)  # the grammar's four kinds

    def on_setting(self, span: Span, name: t.Name, value: t.Expr) -> t.Setting:
        return t.Setting(name, value, span=span)

    def on_claim(self, span: Span, condition: t.Expr) -> t.Claim:
        return t.Claim(condition, span=span)

    def on_param(self, span: Span, name: t.Name, default: t.Expr | None) -> t.Param:
        return t.Param(name, default, span=span)

    def sequence(self, span: Span, *children: Any) -> tuple[Any, ...]:
        return children

    on_params = on_names = on_dims = on_body = on_arguments = sequence

    # Statements

    def on_evaluate(self, span: Span, value: t.Expr) -> t.Evaluate:
        return t.Evaluate(value, span=span)

    def on_assign(self, span: Span, *parts: Any) -> t.Assign:
        return t.Assign(parts[:-1], parts[-1], span=span)

    def on_input(self, span: Span, name: t.Name, dims: Any, where: t.Expr | None) -> t.Input:
        return t.Input(name, dims, where, span=span)

    def on_dim(self, span: Span, name: t.Name | None, size: t.Expr) -> t.Dim:
        return t.Dim(name, size, span=span)

    def on_output(self, span: Span, names: Any, value: t.Expr) -> t.Output:
        return t.Output(names, value, span=span)

    def on_aux(self, span: Span, names: Any, value: t.Expr) -> t.Aux:
        return t.Aux(names, value, span=span)

    def on_layer(self, span: Span, name: t.Name, value: t.Expr) -> t.Layer:
        return t.Layer(name, value, span=span)

    def on_assert(self, span: Span, condition: t.Expr) -> t.Assert:
        return t.Assert(condition, span=span)

    def on_for(self, span: Span, targets: Any, iterable: t.Expr, body: Any) -> t.For:
        return t.For(targets, iterable, body, span=span)

    def on_range(self, span: Span, start: t.Expr, stop: t.Expr) -> t.Range:
        return t.Range(start, stop, span=span)

    def on_if(self, span: Span, condition: t.Expr, body: Any, otherwise: Any) -> t.If:
        chained = (otherwise,) if isinstance(otherwise, t.If) else otherwise or ()
        return t.If(condition, body, chained, span=span)

    # Expressions

    def on_conditional(self, span: Span, then: t.Expr, condition: t.Expr, other: t.Expr) -> t.Conditional:
        return t.Conditional(then, condition, other, span=span)

    def on_pipe(self, span: Span, head: t.Expr, *steps: t.Expr) -> t.Pipe:
        return t.Pipe(head, steps, span=span)

    def on_repeat(self, span: Span, count: t.Expr, body: Any) -> t.Repeat:
        return t.Repeat(count, body, span=span)

    def on_merge(self, span: Span, function: t.Expr, *branches: t.Expr) -> t.Merge:
        return t.Merge(function, branches, span=span)

    def inner(self, span: Span, value: t.Expr) -> t.Expr:
        return value

    # What is around a group starts and ends at its brackets, the expression itself within.
    on_branch = on_group = inner

    def on_binary(self, span: Span, left: t.Expr, op: Token, right: t.Expr) -> t.Binary:
        return t.Binary(op.value, left, right, span=span)  # the grammar's operators

    def on_unary(self, span: Span, op: Token, operand: t.Expr) -> t.Unary:
        return t.Unary(op.value, operand, span=span)  # `-` or `not`

    def on_tagged(self, span: Span, value: t.Expr, *tags: t.Tag) -> t.Expr:
        return t.Tagged(value, tags, span=span) if tags else value

    def on_tag(self, span: Span, name: t.Name, arguments: Any) -> t.Tag:
        return t.Tag(name, arguments or (), span=span)

    def on_call(self, span: Span, function: t.Expr, arguments: Any) -> t.Call:
        return t.Call(function, arguments, span=span)

    def on_argument(self, span: Span, name: t.Name | None, value: t.Expr) -> t.Argument:
        return t.Argument(name, value, span=span)

    def on_index(self, span: Span, value: t.Expr, index: t.Expr) -> t.Index:
        return t.Index(value, index, span=span)

    def on_attribute(self, span: Span, value: t.Expr, name: t.Name) -> t.Attribute:
        return t.Attribute(value, name, span=span)

    def on_in(self, span: Span) -> t.In:
        return t.In(span=span)

    def on_tuple(self, span: Span, *items: t.Expr) -> t.Tuple:
        return t.Tuple(items, span=span)

    def on_list(self, span: Span, *items: t.Expr) -> t.List:
        return t.List(items, span=span)

    def on_constant(self, span: Span, token: Token) -> t.Constant:
        text = token.value
        value: int | float | str | bool | None
        if token.type == "STRING":
            value = self._unescape(span)
        elif text in _WORDS:
            value = _WORDS[text]
        else:
            value = int(text) if text.replace("_", "").isdecimal() else self._finite(span)
        return t.Constant(value, text, span=span)

    def _finite(self, span: Span) -> float:
        value = float(span.text)
        if value == float("inf"):
            self._problem("limit", f"`{span.text}` is larger than any number of 64 bits", span)
        if value == 0 and span.text.lower().partition("e")[0].strip("0._"):
            self._problem("limit", f"`{span.text}` is smaller than any number of 64 bits", span)
        return value

    def _unescape(self, span: Span) -> str:
        text, parts, at = span.text, [], 1
        while (escape := text.find("\\", at)) >= 0:
            if text[escape + 1] not in _ESCAPES:
                place = self.span(span.start + escape, span.start + escape + 2)
                fix = 'the escapes are \\\\, \\", \\n and \\t'
                self._problem("syntax", f"unknown escape `{place.text}`", place, fix)
            parts += [text[at:escape], _ESCAPES.get(text[escape + 1], "")]
            at = escape + 2
        return "".join([*parts, text[at:-1]])

    def _problem(self, code: str, message: str, span: Span, fix: str | None = None) -> None:
        self.problems.append(Diagnostic(code, message, span, fix=fix))
