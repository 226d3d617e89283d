"""The Tab key in bash, zsh and fish, asked as those shells do it."""

import os
import re
import shlex
import shutil
import subprocess

import pytest

from netdsl.cli.completion import lines
from netdsl.cli.main import COMMANDS
from netdsl.data.registry import DATASETS
from netdsl.ops import OPS

from .room import NETDSL, Terminal, environment

NETS = {"a.net", "b.net", "folder/"}
# What is typed, and all that is offered for the last word; `...` is for more.
TYPED = {
    "netdsl ": {*COMMANDS, "..."},
    "netdsl co": {"compare", "compile", "completion"},
    "netdsl train ": NETS,
    "netdsl train a": {"a.net"},
    "netdsl train --n": {"--net", "--no-save"},
    "netdsl train a.net --": {
        "--set",
        "--net",
        "--out",
        "--precision",
        "--no-save",
        "--resume",
        "--start",
        "--watch",
        "--tensorboard",
        "--device",
        "--exact",
        "--threads",
        "--help",
    },
    "netdsl train a.net --device ": {"cpu", "cuda", "cuda:1", "reference"},
    "netdsl train a.net --device cuda:": {"cuda:1"},
    "netdsl train --device cuda:1 ": NETS,
    "netdsl train --set train.epochs=3 --device cpu ": NETS,
    "netdsl train a.net --out ": {"folder/"},
    "netdsl eval a.net ": NETS | {"best.safetensors", "note.txt"},
    "netdsl eval --on validation --set x=3 a.net b": {"b.net", "best.safetensors"},
    "netdsl eval a.net best.safetensors --on ": {"test", "validation", "train"},
    "netdsl check a.net b": {"b.net"},
    "netdsl compile a.net --emit s": {"schedule"},
    "netdsl report a.net --sort m": {"macs", "moved"},
    "netdsl ops conv": {name for name in OPS if name.startswith("conv")},
    "netdsl ops he_": {"he_normal", "he_uniform"},
    "netdsl ops cos": {"cosine", "cosine_restarts"},
    "netdsl ops standard": {"standardize"},
    "netdsl ops mnist.": {"mnist.train", "mnist.test"},
    "netdsl data ": {"list", "get", "show"},
    "netdsl data get ": set(DATASETS),
    "netdsl data list --format ": {"table", "json"},
    "netdsl help tr": {"train"},
    "netdsl completion ": {"bash", "zsh", "fish"},
    "netdsl run a": {"a.net"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with files, and the three scripts."""
    place = tmp_path_factory.mktemp("completion")
    (place / "folder").mkdir()
    for name in ("a.net", "b.net", "best.safetensors", "note.txt"):
        (place / name).touch()
    scripts = tmp_path_factory.mktemp("scripts")
    for shell in ("bash", "zsh", "fish"):
        made = subprocess.run(
            [*NETDSL, "completion", shell], capture_output=True, check=True, env=environment()
        )
        (scripts / shell).write_bytes(made.stdout)
    return place, scripts


def asked(shell, script, place):
    done = subprocess.run(
        [*shell, script],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(place)},
    )
    assert done.stderr == "", done.stderr
    found = [answer.split("\n") for answer in done.stdout.split("\n;\n")]
    return dict(
        zip(TYPED, ([word.strip() for word in words if word.strip()] for words in found), strict=False)
    )


def agrees(typed, offered, expected, place):
    offered = {f"{w}/" if (place / w).is_dir() else w for w in (word.rstrip("/") for word in offered)}
    more = offered >= expected - {"..."} if "..." in expected else offered == expected
    return None if more else f"{typed!r} offers {sorted(offered)}, not {sorted(expected)}"


def test_bash(place):
    place, scripts = place
    script = [f"source {shlex.quote(str(scripts / 'bash'))}"]
    for typed in TYPED:
        # As bash cuts the line: = is a word, and so is the colon.
        words = shlex.split(re.sub("([=:])", r" \1 ", typed)) + ([""] if typed.endswith(" ") else [])
        script.append(f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _netdsl")
        script.append('printf "%s\\n" "${COMPREPLY[@]}" ";"')
    offered = asked(["bash", "--norc", "-c"], "\n".join(script), place)
    colon = "netdsl train a.net --device cuda:"
    assert offered[colon] == ["1"]  # bash keeps what stands before the colon
    offered[colon] = ["cuda:1"]
    assert not [m for typed, e in TYPED.items() if (m := agrees(typed, offered[typed], e, place))]


def test_bash_and_its_tab_key(place):
    place, scripts = place
    with Terminal(
        ["--norc", "-i"], folder=place, program=["bash"], env={"PS1": "> ", "HISTFILE": None}
    ) as terminal:
        terminal.press(f"source {scripts / 'bash'}; clear\n")
        terminal.until(r"\A> $|\A>$")
        terminal.press("netdsl tra\ta\t --dev\tcu\t")
        terminal.until(r"netdsl train a.net +--device cuda")
        terminal.press(":\t")
        terminal.until(r"netdsl train a.net +--device cuda:1")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(place):
    place, scripts = place
    script = [f"source {shlex.quote(str(scripts / 'fish'))}"]
    script += [
        f"complete -C {shlex.quote(typed)} | string replace -r '\\t.*' ''; echo ';'" for typed in TYPED
    ]
    offered = asked(["fish", "--no-config", "-c"], "\n".join(script), place)
    for typed, expected in TYPED.items():
        if " eval " in typed and not typed.endswith("--on "):
            # The files of all arguments are offered.
            expected = expected | {name for name in NETS if name.startswith(typed.rpartition(" ")[2])}
        if not typed.endswith(("--", "--n")):
            assert not agrees(typed, offered[typed], expected, place)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh(place):
    place, scripts = place
    env = {"PS1": "> ", "HOME": str(place)}
    with Terminal(["-f", "-i"], 120, folder=place, program=["zsh"], env=env) as terminal:
        terminal.press(
            f'autoload -U compinit; compinit -u -d {place / "dump"}; eval "$(cat {scripts / "zsh"})"; clear\n'
        )
        terminal.until(r"\A> ?$")
        for typed, whole in (
            ("netdsl tra\ta\t--dev\tcu\t", r"netdsl train a.net --device[= ]cuda"),
            ("netdsl train a.net --device cuda:\t", "netdsl train a.net --device cuda:1"),
            ("netdsl data g\tfas\t", "netdsl data get fashion_mnist"),
            ("netdsl eval a\tbe\t", "netdsl eval a.net best.safetensors"),
            ("netdsl ops separ\t", "netdsl ops separable_conv"),
            ("netdsl help expl\t", "netdsl help explain-shape"),
        ):
            terminal.press(typed)
            terminal.until(whole)
            terminal.press("\x15")  # Ctrl-U takes the line away


def test_every_option_of_every_command_is_there(place):
    _, scripts = place
    for shell in ("bash", "zsh", "fish"):
        text = (scripts / shell).read_text()
        assert "/" + os.environ.get("HOME", "/nowhere").strip("/") not in text
        for line in lines():
            flags = [flag for o in line.options for flag in o.flags]
            fish = [f"-l {f[2:]} " if f.startswith("--") else f"-s {f[1:]} " for f in flags]
            names = fish if shell == "fish" else flags
            assert all(name in text for name in names), (shell, line.words)
