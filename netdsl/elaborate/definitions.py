"""What a file defines and imports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from netdsl.source import Diagnostic, NetError, Source
from netdsl.syntax import tree
from netdsl.syntax.parse import parse
from netdsl.syntax.read import read_source

Reader = Callable[[Path], Source]


@dataclass(frozen=True)
class Definitions:
    """The blocks and nets of a file by name, and the files imported under a name."""

    blocks: Mapping[str, tuple[tree.Block, Definitions | None]]
    nets: Mapping[str, tree.Net]
    modules: Mapping[str, Definitions]

    def block(self, name: str) -> tuple[tree.Block, Definitions]:
        """A block and the definitions that its body sees."""
        block, home = self.blocks[name]
        return block, home or self


def collect(file: tree.File, source: Source, stack: tuple[Path, ...] = ()) -> Definitions:
    """The definitions of a file, with everything it imports; raises NetError."""
    blocks: dict[str, tuple[tree.Block, Definitions | None]] = {}
    modules: dict[str, Definitions] = {}
    nets = dict(file.nets)
    here = Path(source.name)
    for item in file.imports:
        path = _path(item, here)
        imported = _load(item, path, (*stack, here.resolve()))
        if item.alias is not None:
            modules[item.alias.id] = imported
            continue
        for name in imported.blocks:
            if name in blocks or name in file.blocks:
                message = f"{name} is defined here and in {item.path.value}"
                raise NetError(Diagnostic("name", message, item.path.span, fix='import it "as" a name'))
            blocks[name] = imported.block(name)
    blocks |= {name: (block, None) for name, block in file.blocks.items()}
    return Definitions(blocks, nets, modules)


def _path(item: tree.Import, here: Path) -> Path:
    name = str(item.path.value)
    if not name.endswith(".net") or Path(name).is_absolute():
        message = "an import names a .net file relative to this one"
        raise NetError(Diagnostic("import", message, item.path.span))
    return here.parent / name


def _load(item: tree.Import, path: Path, stack: tuple[Path, ...]) -> Definitions:
    if path.resolve() in stack:
        raise NetError(Diagnostic("import", f"{item.path.value} imports itself", item.path.span))
    try:
        source = read_source(path)
    except NetError as error:
        message = error.diagnostics[0].message.replace(str(path), str(item.path.value))
        raise NetError(Diagnostic("import", message, item.path.span)) from None
    return collect(parse(source), source, stack)
