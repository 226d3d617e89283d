"""A training that is interrupted and resumed equals one that is not, bit for bit, whatever its settings."""

import json
import os

import pytest

from netdsl.data.augment.table import CHANGES
from netdsl.passes.pipeline import Pipeline
from netdsl.train import Callback
from netdsl.train.optimizers import OPTIMIZERS
from netdsl.train.schedules import SCHEDULES
from netdsl.train.tables import AVERAGES, CONSTRAINTS
from tests.train.resuming import FORMS, SLOW, Copies, change, files, killed, matrix, written

ROWS = {row.name: row for row in matrix()}
#: 5 steps an epoch: in the midst of a group and of a stage, at the ends of both, at the end of an epoch
STEPS = [(3, 10), (7, 12), (4, 5, 11)]
#: the step that is made when a run is killed
KILLED = {
    "momentum": 11,  # in the midst of a group, while swa averages
    "features-ema": 12,  # in the stage whose features are the second ones
    "snapshots-ema": 7,  # in the second cycle
    "stages-swa": 8,  # in the second stage
    "stop-none": 6,
}


def rows(*names):
    """The rows of these names, those marked that take the longest together."""
    return [pytest.param(n, marks=pytest.mark.slow) if SLOW.fullmatch(n) else n for n in names]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The files of all rows; what rows have in common goes through the passes once."""
    made, run = {}, Pipeline.run

    def once(self, graph, hooks=None):
        key = (self, str(graph))
        if key not in made:
            made[key] = run(self, graph, hooks)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pipeline, "run", once)
        yield written(tmp_path_factory.mktemp("data"))


def epochs(folder):
    """The lines of epochs of a log, without their times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "time")}
        for line in lines
        if line["event"] == "epoch"
    ]


def test_the_rows_have_every_name_of_the_tables():
    text = " ".join(f"{row.settings} {row.augment} " for row in ROWS.values())
    for name in (*OPTIMIZERS, *SCHEDULES, *AVERAGES, *CONSTRAINTS):
        assert name in text
    listed = [c for row in ROWS.values() for c in row.augment]
    assert sorted(listed) == sorted(map(change, CHANGES))
    assert all(f"{form}-{average}" in ROWS for form in FORMS for average in ("none", *AVERAGES))


@pytest.mark.parametrize("name", rows(*ROWS))
def test_resumed_equals_uninterrupted(name, data, tmp_path):
    """From the files as they are after a step: what a run leaves that is killed there, or stopped."""
    row = ROWS[name]
    steps = STEPS[[*ROWS].index(name) % len(STEPS)]
    copies = Copies(tmp_path / "whole", steps)
    whole = row.trainer(data, tmp_path / "whole", copies).fit()
    resumed = row.trainer(data, tmp_path / "whole")
    for step in steps:
        resumed.out = tmp_path / f"after-{step}"
        again = resumed.fit(resume=True)
        assert again.history == whole.history and again.test == whole.test
        assert again.steps == whole.steps and again.restored == whole.restored
        assert files(resumed.out) == files(tmp_path / "whole")
        assert epochs(resumed.out) == epochs(tmp_path / "whole")


class Stop(Callback):
    def __init__(self, *steps):
        self.at = steps

    def on_batch_end(self, loop, values):
        if loop.progress.step in self.at:
            loop.stop()


@pytest.mark.parametrize("name", rows("clipped", "momentum"))
def test_stopped_equals_uninterrupted(name, data, tmp_path):
    """Stopped again and again: in the midst of a group, at its end, at the end of an epoch."""
    whole = ROWS[name].trainer(data, tmp_path / "whole").fit()
    one = ROWS[name].trainer(data, tmp_path / "parts", Stop(3, 7, 10))
    assert one.fit().steps == 3
    for steps in (7, 10, 15):
        again = one.fit(resume=True)
        assert again.steps == steps
    assert again.history == whole.history and again.test == whole.test
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("name", rows(*KILLED))
def test_killed_equals_uninterrupted(name, data, tmp_path):
    """kill -9 while a step is made."""
    row = ROWS[name]
    whole = row.trainer(data, tmp_path / "whole").fit()
    killed(row, data, tmp_path / "killed", KILLED[name])
    again = row.trainer(data, tmp_path / "killed").fit(resume=True)
    assert again.history == whole.history and again.test == whole.test
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert epochs(tmp_path / "killed") == epochs(tmp_path / "whole")
