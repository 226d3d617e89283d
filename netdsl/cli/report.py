"""`netdsl report FILE`: shapes, parameters, costs and receptive fields of every layer."""

import argparse
from dataclasses import replace

from netdsl.cli.command import at_least_1, option
from netdsl.cli.common import DEVICE
from netdsl.cli.reporting import view
from netdsl.report.sizes import parse_bytes


def _size(word: str) -> int:
    try:
        return parse_bytes(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


app = view(
    "report",
    "Print shapes, parameters, costs, memory, receptive fields and arithmetic intensity.",
    option("--batch", type=at_least_1, metavar="N", help="predict the peak memory at N samples per run"),
    option(
        "--memory", type=_size, metavar="SIZE", help="find the largest batch that fits into SIZE, say 8GiB"
    ),
    replace(DEVICE, settings={**DEVICE.settings, "help": "whose memory: cpu (default), cuda, or reference"}),
)
