"""The folder of a run: what has been logged is on disk."""

import json
import os

from netdsl.train.run_folder import RunFolder
from netdsl.train.run_log import LOG


def test_every_event_is_flushed_to_disk_before_log_returns(tmp_path, monkeypatch):
    folder, synced = RunFolder(tmp_path), []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((os.fstat(fd).st_ino, os.fstat(fd).st_size)))
    for epoch in (1, 2):
        folder.log("epoch", epoch=epoch)
        status = (tmp_path / LOG).stat()
        assert synced == [(status.st_ino, status.st_size)]
        synced.clear()
    lines = (tmp_path / LOG).read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
