"""The bar in the colours that a terminal has."""

import io
from types import SimpleNamespace

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


@pytest.mark.parametrize("there", [True, False])
def test_the_bar_says_only_what_is_done(there, monkeypatch):
    """Without a validation and a test set nothing is validated and nothing tested."""
    bars = Bars("", SimpleNamespace(has_validation=there, has_test=there))
    bars.epochs, bars.batches, bars.work, bars.headings = 1, 5, (), []
    monkeypatch.setattr(bars, "_draw", lambda: None)
    bars.console = Console(file=io.StringIO())
    monkeypatch.setattr("netdsl.cli.progress.work_texts", lambda loop: ())
    bars.on_batch_end(SimpleNamespace(progress=SimpleNamespace(epoch=0, batch=5)), {"loss": 1.0})
    assert bars.doing == ("validating" if there else "")
    monkeypatch.setattr("netdsl.cli.progress._columns", lambda *_: [])
    monkeypatch.setattr("netdsl.cli.progress.table", lambda *_: (("", "", ""), []))
    monkeypatch.setattr("netdsl.cli.progress.watched_text", lambda loop: ())
    monkeypatch.setattr("netdsl.cli.progress.work_of", lambda loop: None)
    bars.on_epoch_end(SimpleNamespace(seconds=1.0), SimpleNamespace(epoch=1))
    assert bars.doing == ("testing" if there else "")
