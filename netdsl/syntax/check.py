"""Checks of the tree that the grammar cannot make: targets, keyword arguments, distinct names, places."""

from collections.abc import Iterable, Iterator, Sequence

from netdsl import words
from netdsl.source import Diagnostic, Note
from netdsl.syntax import tree as t


def check(file: t.File) -> list[Diagnostic]:
    """The mistakes of a file that these checks find, in the order of the text."""
    problems = list(_file(file))
    for node in file.walk():
        problems += _node(node)
    return sorted(problems, key=lambda problem: problem.span.start if problem.span else 0)


def _file(file: t.File) -> Iterator[Diagnostic]:
    defined = [item for item in file.items if isinstance(item, t.Block | t.Net)]
    aliases = [item.alias for item in file.imports if item.alias is not None]
    presets = [item.name for item in file.items if isinstance(item, t.Preset)]
    yield from _repeated([*aliases, *(item.name for item in defined), *presets], "is defined twice")
    for definition in defined:
        yield from _definition(definition)
    first: dict[str, t.Section] = {}
    for item in file.items:
        if isinstance(item, t.Section):
            if first.setdefault(item.kind, item) is not item:
                note = Note("the first one is here", first[item.kind].span)
                yield Diagnostic("syntax", f"a second `{item.kind}` section", item.span, notes=(note,))
            yield from _section(item)
        elif isinstance(item, t.Preset):
            yield from _repeated([e.name for e in item.entries if isinstance(e, t.Setting)], "is set twice")


def _definition(item: t.Block | t.Net) -> Iterator[Diagnostic]:
    name = item.name.id
    if not name[0].isupper():
        message = f"`{name}` starts with a small letter, as only built-in names do"
        fix = f"call it `{name[0].upper() + name[1:]}`"
        yield Diagnostic("syntax", message, item.name.span, fix=fix if name[0].isalpha() else None)
    inputs = item.inputs if isinstance(item, t.Block) else ()
    yield from _repeated([*(param.name for param in item.params), *inputs], "is named twice")
    optional = False
    for param in item.params:
        if optional and param.default is None:
            fix = "settings with a default come last"
            yield Diagnostic("syntax", f"`{param.name.id}` needs a default", param.span, fix=fix)
        optional = optional or param.default is not None
    if isinstance(item, t.Net):
        nested = (s for s in item.body if isinstance(s, t.For | t.If))
        for statement in _statements(nested):
            if isinstance(statement, t.Input):
                message = "an `input` belongs to the first level of its net"
                yield Diagnostic("syntax", message, statement.span)


def _statements(body: Iterable[t.Statement]) -> Iterator[t.Statement]:
    """The statements of a body, those within `for` and `if` among them."""
    for statement in body:
        yield statement
        if isinstance(statement, t.For):
            yield from _statements(statement.body)
        elif isinstance(statement, t.If):
            yield from _statements((*statement.body, *statement.otherwise))


def _inside(body: Iterable[t.Statement]) -> Iterator[Diagnostic]:
    """`input`, `output` and `aux` belong to a net, outside `repeat`."""
    for statement in _statements(body):
        if isinstance(statement, t.Input | t.Output | t.Aux):
            fix = "what goes in is called `in`, the last expression is what comes out"
            message = f"`{type(statement).__name__.lower()}` belongs in a net, not in a block or `repeat`"
            yield Diagnostic("syntax", message, statement.span, fix=fix)


def _section(section: t.Section) -> Iterator[Diagnostic]:
    settings = [entry.name for entry in section.entries if isinstance(entry, t.Setting)]
    if section.kind == "expect":
        for entry in section.entries:
            if isinstance(entry, t.Setting):
                fix = f"write `{entry.name.id} == …`"
                yield Diagnostic("syntax", "an expectation is a condition", entry.span, fix=fix)
        return
    yield from _repeated(settings, "is set twice")
    for entry in section.entries:
        if isinstance(entry, t.Claim):
            message = f"`{section.kind}` holds settings"
            yield Diagnostic("syntax", message, entry.span, fix="write `name = value`")


def _node(node: t.Node) -> Iterator[Diagnostic]:
    if isinstance(node, t.Block | t.Repeat):
        yield from _inside(node.body)
    elif isinstance(node, t.Call | t.Tag):
        yield from _arguments(node.arguments)
    elif isinstance(node, t.Assign):
        for target in node.targets:
            base = target.value if isinstance(target, t.Index) else target
            if not isinstance(base, t.Name):
                fix = words.in_line(target.span.source.line_text(target.span.line))
                fix = fix or "a target is a `name` or `name[index]`"
                if isinstance(target, t.List | t.Tuple):
                    fix = "names that take something apart have no brackets: `a, b = …`"
                yield Diagnostic("syntax", "this cannot be assigned to", target.span, fix=fix)
        yield from _repeated(_named(node.targets), "is assigned twice")
    elif isinstance(node, t.Output | t.Aux):
        yield from _repeated(_named(node.names), "is assigned twice")
        if not _named(node.names):
            yield Diagnostic("syntax", f"this {type(node).__name__.lower()} has no name", node.span)
    elif isinstance(node, t.For):
        yield from _repeated(_named(node.targets), "is named twice")
    elif isinstance(node, t.Pipe):
        for step in node.steps:
            if isinstance(step, t.Constant | t.List | t.Tuple | t.In):
                message = "a value cannot be a step of a flow"
                yield Diagnostic("syntax", message, step.span, "expected an op, a block or a layer")
    elif isinstance(node, t.Merge) and not isinstance(node.function, t.Name | t.Attribute | t.Call):
        yield Diagnostic("syntax", "this cannot merge branches", node.function.span)


def _arguments(arguments: Sequence[t.Argument]) -> Iterator[Diagnostic]:
    keywords = [argument.name for argument in arguments if argument.name is not None]
    yield from _repeated(keywords, "is given twice")
    keyword_seen = False
    for argument in arguments:
        if keyword_seen and argument.name is None:
            fix = "arguments without a name come first"
            yield Diagnostic("syntax", "an argument without a name after a named one", argument.span, fix=fix)
        keyword_seen = keyword_seen or argument.name is not None


def _named(targets: Sequence[t.Expr]) -> list[t.Name]:
    """The names among the targets, without `_`, which drops a value."""
    return [target for target in targets if isinstance(target, t.Name) and target.id != "_"]


def _repeated(names: Iterable[t.Name], what: str) -> Iterator[Diagnostic]:
    first: dict[str, t.Name] = {}
    for name in names:
        if first.setdefault(name.id, name) is not name:
            note = Note("the first time is here", first[name.id].span)
            yield Diagnostic("syntax", f"`{name.id}` {what}", name.span, notes=(note,))
