"""Short files that ask for more than any machine has, as `{name: text}`, and folders of them."""

import os
from collections.abc import Iterator
from pathlib import Path

BODY = "net N {{\n  input x: [4]\n  {}\n  output y = x\n}}\n"


def _net(*statements: str) -> str:
    return BODY.format("\n  ".join(statements))


def _nested(count: int, statement: str, inner: str) -> str:
    return f"{statement} {{ " * count + inner + " }" * count


def _tower(depth: int, last: str, step: str) -> str:
    """`B0` is `last`, and each further block uses the one below as `step` says."""
    blocks = [f"block B0 {{ {last} }}"]
    blocks += [f"block B{k} {{ {step.replace('B', f'B{k - 1}')} }}" for k in range(1, depth)]
    return "\n".join([*blocks, f"net N {{ input x: [4]\n output y = x -> B{depth - 1} }}\n"])


#: files that ask for too much: each ends in a `limit`, where it is not so little that it is built
TEXTS = {
    "repeat 1000 three deep": _net("z = x -> repeat 1000 { in -> repeat 1000 { in -> repeat 1000 { in } } }"),
    "two nested loops": _net("for i in 0..100_000 { for j in 0..100_000 { a = i } }"),
    "two nested empty loops": _net("for i in 0..100_000 { for j in 0..100_000 { } }"),
    "loops over lists": _net("l = range(100_000)", "for i in l { for j in l { a = l } }"),
    "2^40 empty blocks": _tower(40, "in", "in -> B -> B"),
    "2^40 blocks in branches": _tower(40, "in", "in -> add { | B | B }"),
    "2^40 settings": "\n".join(
        ["block B0(a = 1) { in }"]
        + [f"block B{k}(a = 1) {{ in -> B{k - 1}(a + 1) -> B{k - 1}(a) }}" for k in range(1, 40)]
    )
    + "\nnet N { input x: [4]\n output y = x -> B39 }\n",
    "a list of itself twice, compared": _net("l = [1]", *["l = [l, l]"] * 40, "assert l == l"),
    "a list of itself twice, shown": _net("l = [1]", *["l = [l, l]"] * 40, "assert l == 1"),
    "a list of itself twice, as a setting": _net("l = [1]", *["l = [l, l]"] * 40, "z = x -> reshape(l)"),
    "a tuple of itself twice": _net("l = (1, 1)", *["l = (l, l)"] * 40, "assert l == l"),
    "an indexed name of itself": _net(
        "a[0] = 1", "for i in 0..40 { b = a; a[0] = b; a[1] = b }", "assert a == a"
    ),
    "a list within a list, deep": _net("l = [1]", "for i in 0..90_000 { l = [l] }", "assert l == l"),
    "a call of itself twice": "net N(a0 = foo(1, 1), "
    + ", ".join(f"a{k} = foo(a{k - 1}, a{k - 1})" for k in range(1, 40))
    + ") { input x: [4]\n output y = x -> dense(4, init = a39) }\n",
    "settings given again and again": _net("f = dense", "for i in 0..30_000 { f = f(1) }"),
    "text that doubles": _net('s = "0123456789"', *["s = s + s"] * 60, "assert s == 1"),
    "long texts in a list": _net(
        's = "0123456789"', *["s = s + s"] * 12, "l = [s]", "for i in 0..90_000 { l = l + [s + s] }"
    ),
    "lists that grow": _net("l = [1]", "for i in 0..99_000 { l = l + [i]; m[i] = l }"),
    "an indexed name that grows": _net("for i in 0..99_000 { a[i] = i; b[i] = a }"),
    "ranges": _net("for i in 0..99_000 { a[i] = range(99_000) }"),
    "sums": _net("l = range(99_000)", "for i in 0..99_000 { a = sum(l) + max(l) + len(reversed(l)) }"),
    "comparisons": _net("l = range(99_000)", "for i in 0..99_000 { a = l == l }"),
    "layers": _net("for i in 0..100_000 { x = x -> relu }"),
    "convolutions": "net N { input x: [8, 8, 4]\n"
    " output y = x -> repeat 100_000 { in -> conv(4, 3, pad = same) -> batch_norm -> relu } }",
    "layers with long names": _net(
        's = "0123456789"', *["s = s + s"] * 12, "for i in 0..9_000 { z = x -> relu @name(s) }"
    ),
    "blocks with long names": "\n".join(
        [f"block {'B' * 9_000}0 {{ in -> repeat 10_000 {{ in -> relu }} }}"]
        + [f"block {'B' * 9_000}{k} {{ in -> {'B' * 9_000}{k - 1} }}" for k in range(1, 10)]
        + [f"net N {{ input x: [4]\n output y = x -> {'B' * 9_000}9 }}"]
    ),
    "many operands": _net("for i in 0..100_000 { a[i] = x }", "z = a -> add"),
    "outputs": "net N { input x: [4]\n for i in 0..100_000 { a[i] = x -> relu }\n output y = a -> concat }",
    "claims": _net("z = x -> repeat 5_000 { in -> relu }")
    + "expect {\n"
    + "receptive_field(z) == [1]\n" * 5_000
    + "}\n",
    "sums of claims": "net N { input x: [8, 8, 4]\n"
    " output y = x -> repeat 500 { in -> conv(4, 3, pad = same) } }\n"
    + "expect {\n"
    + "params == 1\nmacs == 1\n" * 6_000
    + "}\n",
    "a chain of additions": _net(
        "a = " + " + ".join(["1"] * 240), "for i in 0..99_000 { a = " + " + ".join(["1"] * 200) + " }"
    ),
    "assertions": _net(
        "for i in 0..100_000 { assert i >= 0 }",
        "for i in 0..100_000 { assert i >= 0 }",
        "for i in 0..100_000 { for j in 0..9 { assert i >= 0 } }",
    ),
    "conditions": _net("for i in 0..100_000 { for j in 0..100 { if i == j { } else { } } }"),
}

#: files with a mistake that is made over and over
MISTAKEN = {
    "a mistake in 2^15 branches": _tower(16, "in -> foo", "(in -> B) + (in -> B)"),
    "a mistake in a tower of flows": _tower(16, "in -> dense(0)", "z = in -> B; in -> B"),
    "a block that uses itself in two branches": "block A { (in -> A) + (in -> A) }\n"
    "net N { input x: [4]\n output y = x -> A }\n",
    "10,000 unknown names": _net(*[f"a{k} = b{k}" for k in range(10_000)]),
    "8,000 unknown blocks": _net(*[f"a{k} = x -> B{k}" for k in range(8_000)]),
    "a mistake in every turn": _net(
        "for i in 0..100_000 { for j in 0..9 { for k in [1, 2] { z = x -> foo } } }"
    ),
    "mistakes under mistakes": _net(_nested(90, "if true", "foo; " * 9_000)),
    "12,000 settings": _net("z = x -> dense(" + ", ".join(f"a{k} = 1" for k in range(12_000)) + ")"),
    "6,000 presets": _net() + "".join(f"preset P{k} {{ a = 1 }}\n" for k in range(6_000)),
    "12,000 settings of a section": _net()
    + "train {\n"
    + "".join(f"a{k} = 1\n" for k in range(12_000))
    + "}\n",
    "20,000 needed settings": "net N("
    + ", ".join(f"a{k}" for k in range(20_000))
    + ") { input x: [4]\n output y = x }\n",
    "a megabyte of names": "a " * 490_000,
    "a megabyte of brackets": "(" * 900_000,
    "a megabyte of statements": _net("a = 1\n" * 160_000),
    "a megabyte of sums": _net("a = [" + "1," * 450_000 + "1]"),
    "a megabyte of errors": "net N {\n" + "= =\n" * 200_000 + "}\n",
    "a name of a megabyte": _net(f"z = x -> {'a' * 900_000}"),
    "a condition of a megabyte": _net("assert 1 == [" + "1," * 400_000 + "]"),
    "a string of a megabyte": _net('assert 1 == "' + "a" * 900_000 + '"'),
    "a line of blanks": _net("assert 1 == (" + " " * 900_000 + "2)"),
}


def folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Imports that never end, each in a folder of its own under `root`: a name and the file to check."""
    for name, make in _FOLDERS.items():
        folder = root / name.replace(" ", "-")
        folder.mkdir()
        make(folder)
        yield name, folder / "main.net"


def _main(folder: Path, imports: str) -> None:
    (folder / "main.net").write_text(f"{imports}\n{_net()}")


def _diamonds(folder: Path) -> None:
    for k in range(26):
        (folder / f"f{k}.net").write_text(
            f'import "f{k + 1}.net" as a\nimport "f{k + 1}.net" as b\n' if k < 25 else "block B { in }\n"
        )
    _main(folder, 'import "f0.net" as f')


def _chain(folder: Path) -> None:
    for k in range(700):
        (folder / f"f{k}.net").write_text(f'import "f{k + 1}.net" as a\n' if k < 699 else "block B { in }\n")
    _main(folder, 'import "f0.net" as f')


def _many(folder: Path) -> None:
    for k in range(2_000):
        (folder / f"f{k}.net").write_text("# " + "a" * 100_000)
    _main(folder, "\n".join(f'import "f{k}.net" as f{k}' for k in range(2_000)))


def _large(folder: Path) -> None:
    for k in range(30):
        (folder / f"f{k}.net").write_text(
            "".join(f"block B{j} {{ in -> relu -> relu }}\n" for j in range(4_000))
        )
    _main(folder, "\n".join(f'import "f{k}.net" as f{k}' for k in range(30)))


def _repeated(folder: Path) -> None:
    (folder / "f.net").write_text("block B { in -> relu }\n")
    _main(folder, "\n".join(f'import "f.net" as f{k}' for k in range(20_000)))


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "f.net")
    _main(folder, 'import "f.net" as f')


def _loop(folder: Path) -> None:
    (folder / "f.net").symlink_to("g.net")
    (folder / "g.net").symlink_to("f.net")
    _main(folder, 'import "f.net" as f')


def _outside(folder: Path) -> None:
    (folder.parent / "secret.net").write_text("the secret\n")
    _main(folder, 'import "../secret.net" as f')


def _linked(folder: Path) -> None:
    (folder.parent / "linked.net").write_text("the secret\n")
    (folder / "f.net").symlink_to("../linked.net")
    _main(folder, 'import "f.net" as f')


def _itself(folder: Path) -> None:
    _main(folder, 'import "main.net" as f')


def _folder(folder: Path) -> None:
    (folder / "f.net").mkdir()
    _main(folder, 'import "f.net" as f')


_FOLDERS = {
    "diamonds": _diamonds,
    "a chain of 700": _chain,
    "2,000 files": _many,
    "large files": _large,
    "one file 20,000 times": _repeated,
    "a FIFO": _fifo,
    "a loop of links": _loop,
    "a file outside": _outside,
    "a link outside": _linked,
    "itself": _itself,
    "a folder": _folder,
}
