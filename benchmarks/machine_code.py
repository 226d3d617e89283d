"""What the kernels of networks take of a multiprocessor, by the assembler: no GPU is needed.

NETDSL_CUDA=emulated python benchmarks/machine_code.py examples/resnet.net:resnet50 --card 9.0 --card 12.0
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import netdsl
from netdsl.backend.layout import lay_out
from netdsl.backend.registry import find_target
from netdsl.cuda.codegen.nest import WARP
from netdsl.cuda.machine_code import machine_code
from netdsl.cuda.occupancy import MULTIPROCESSORS
from netdsl.cuda.step import Launch
from netdsl.primitives.precision import PRECISIONS
from netdsl.train.memory_prediction import program_graph

BATCH = 8
COLUMNS = ("network", "", "card", "kernels", "registers, median", "most", "warps held, median of the most", "least",
           "128-bit loads in", "spills")  # fmt: skip


def launches(text: str, mode: Any, precision: Any) -> list[Launch]:
    """A launch of each source."""
    file, _, net = text.partition(":")
    device = find_target("cuda", precision=precision)
    network = netdsl.load(file, **({"net": net} if net else {}))
    lowered = lay_out(program_graph(network, BATCH, mode, device), device).lowered
    return list({s.source.key: s for call in lowered.calls for s in call.steps}.values())


def row(text: str, mode: str, card: tuple[int, int], found: list[Launch]) -> list[str]:
    """The figures of a network on a card."""
    codes = [(machine_code(s.source, card), s) for s in found]
    most = MULTIPROCESSORS[card].warps
    held = [code.resident(s, card) * -(-s.threads // WARP) / most for code, s in codes]
    registers = [code.registers for code, _ in codes]
    wide = sum(code.count("wide loads") > 0 for code, _ in codes)
    spills = sum(bool(code.stack or code.stores or code.loads) for code, _ in codes)
    return [text.split("/")[-1].replace(".net", ""), mode, f"sm_{card[0]}{card[1]}", str(len(codes)),
            f"{statistics.median(registers):.0f}", str(max(registers)), f"{statistics.median(held):.0%}",
            f"{min(held):.0%}", str(wide), str(spills)]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="+", help="FILE or FILE:NET")
    cards = {f"{a}.{b}": (a, b) for a, b in MULTIPROCESSORS}
    parser.add_argument("--card", action="append", choices=cards, help="compute capabilities; 9.0")
    parser.add_argument("--precision", choices=PRECISIONS, default="f32")
    given = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS), sep="\n")
    for card in given.card or ["9.0"]:
        for text in given.networks:
            for mode in ("inference", "training"):
                cells = row(text, mode, cards[card], launches(text, mode, given.precision))
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
