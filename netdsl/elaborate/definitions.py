"""What a file defines and imports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netdsl.elaborate.budget import PER_CHARACTER_READ, PER_IMPORT, Budget
from netdsl.limits import MAX_IMPORTS
from netdsl.source import Diagnostic, NetError, Source
from netdsl.syntax import tree
from netdsl.syntax.parse import parse
from netdsl.syntax.read import read_import


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


def collect(file: tree.File, source: Source, budget: Budget) -> Definitions:
    """The definitions of a file, with everything it imports; raises NetError."""
    here = os.path.realpath(source.name)
    return _Imports(str(Path(here).parent), budget).definitions(file, source, here)


class _Imports:
    """The files that one file imports, each read once.  They lie in its folder or below."""

    def __init__(self, root: str, budget: Budget) -> None:
        self.root, self.budget = root, budget
        self.read: dict[str, Definitions] = {}
        self.stack: list[str] = []

    def definitions(self, file: tree.File, source: Source, here: str) -> Definitions:
        """The definitions of a file; `here` is its resolved path."""
        blocks: dict[str, tuple[tree.Block, Definitions | None]] = {}
        modules: dict[str, Definitions] = {}
        own = file.blocks
        self.stack.append(here)
        for item in file.imports:
            imported = self._imported(item, Path(source.name).parent)
            if item.alias is not None:
                modules[item.alias.id] = imported
                continue
            for name, (block, _) in imported.blocks.items():
                # Two files may import the same third: it is read once, so its blocks are the same objects.
                if name in own or (name in blocks and blocks[name][0] is not block):
                    message = f"{name} is defined here and in {item.path.value}"
                    raise NetError(Diagnostic("name", message, item.path.span, fix='import it "as" a name'))
                blocks[name] = imported.block(name)
        self.stack.pop()
        blocks |= {name: (block, None) for name, block in own.items()}
        return Definitions(blocks, file.nets, modules)

    def _imported(self, item: tree.Import, folder: Path) -> Definitions:
        name, span = str(item.path.value), item.path.span
        if not name.endswith(".net") or Path(name).is_absolute() or not name.isprintable():
            raise NetError(Diagnostic("import", "an import names a .net file relative to this one", span))
        path = os.path.realpath(folder / name)
        if os.path.commonpath([path, self.root]) != self.root:
            message = f"{name} lies outside the folder of the file that is read first"
            raise NetError(
                Diagnostic("import", message, span, fix="imports stay in it and the folders below")
            )
        if path in self.stack:
            raise NetError(Diagnostic("import", f"{name} imports itself", span))
        if len(self.stack) > MAX_IMPORTS:
            raise NetError(Diagnostic("limit", f"files import each other more than {MAX_IMPORTS} deep", span))
        if path not in self.read:
            source = _read(folder / name, item)
            self.budget.spend(PER_IMPORT + PER_CHARACTER_READ * len(source.text), span)
            self.read[path] = self.definitions(parse(source), source, path)
        self.budget.spend(PER_IMPORT + len(self.read[path].blocks), span)
        return self.read[path]


def _read(path: Path, item: tree.Import) -> Source:
    try:
        return read_import(path)
    except NetError as error:
        problem = error.diagnostics[0]
        if problem.span is not None:  # a mistake in that file
            raise
        message = problem.message.replace(str(path), str(item.path.value))
        raise NetError(Diagnostic(problem.code, message, item.path.span, fix=problem.fix)) from None
