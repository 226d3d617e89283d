"""The bar in the colours that a terminal has."""

import io

import pytest
from rich.console import Console

from netdsl.cli.progress import Bars


@pytest.mark.parametrize("colours", ["standard", "256", "truecolor"])
def test_a_full_bar_is_not_coloured_as_an_empty_one(colours):
    bars = Bars("", None)
    bars.epochs, bars.batches, bars.begun, bars.began = 2, 5, 0, 0.0
    bars.values, bars.work, bars.doing = {}, [], "validating"

    def drawn(batch):
        bars.at, file = (0, batch), io.StringIO()
        Console(file=file, force_terminal=True, color_system=colours, width=60).print(bars._bar(60))
        return file.getvalue().split("━")[0]

    assert drawn(5) != drawn(0) and "\x1b[" in drawn(5)
