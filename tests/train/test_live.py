"""Curves in a notebook: one display, updated after each epoch; IPython only where a notebook runs it."""

import subprocess
import sys
import xml.etree.ElementTree as tree
from types import ModuleType

import pytest

import netdsl
from netdsl.train import EpochResult, LiveCurves
from netdsl.train.live import drawn


class Handle:
    def __init__(self, first):
        self.shown = [first]

    def update(self, picture):
        self.shown.append(picture)


@pytest.fixture
def displays(monkeypatch):
    """A notebook that is not there: what it is asked to display."""
    found = []
    shell, module = ModuleType("IPython"), ModuleType("IPython.display")
    shell.get_ipython = object
    shell.display = module

    def display(picture, *, display_id):
        assert display_id is True
        found.append(Handle(picture))
        return found[-1]

    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return found


def trainer(*callbacks, **settings):
    given = {"train.epochs": 3, "data.subset": 200, "data.augment": None, **settings}
    return netdsl.Trainer(netdsl.load("examples/digits.net", settings=given), callbacks=callbacks)


def test_the_curves_are_updated_in_one_place(displays):
    trainer(LiveCurves()).fit()
    (handle,) = displays
    assert len(handle.shown) == 3
    for picture in handle.shown:
        text = picture._repr_svg_()
        tree.fromstring(text)
        assert all(word in text for word in ("loss", "accuracy", "validation", "epoch"))
    assert len({picture.svg for picture in handle.shown}) == 3


def test_values_that_are_asked_for():
    history = [
        EpochResult(k, 0.1, {"loss": 1 / k, "f1": [0.1, 0.2]}, {"loss": 2 / k, "f1": [0.1, 0.2]})
        for k in (1, 2)
    ]
    assert "f1" not in drawn(history) and "loss" in drawn(history, ["loss"])


def test_without_a_notebook_it_says_so(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with pytest.raises(RuntimeError, match="there is none: netdsl curves draws in a terminal"):
        trainer(LiveCurves()).fit()


def test_nothing_imports_ipython():
    code = "import sys; from netdsl.train import LiveCurves, Trainer; assert 'IPython' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
