"""How many processors a process may use: where it may run, and what its control group pays for."""

import pytest

from netdsl import machine


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A function that makes files of /proc and /sys, under a folder that stands for the root; 8 processors."""

    def make(files):
        for name, text in files.items():
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(
        machine, "Path", lambda name: tmp_path / name.lstrip("/") if name[:1] == "/" else tmp_path
    )
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return make


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"/proc/self/cgroup": "0::/\n"}, 8),
        ({"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 8),
        ({"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/cpu.max": "250000 100000\n"}, 3),
        ({"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 1),
        # In a container the path is that of the host, and the group is the root.
        ({"/proc/self/cgroup": "0::/../host\n", "/sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        (
            {
                "/proc/self/cgroup": "3:cpuset:/x\n4:cpu,cpuacct:/x\n",
                "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "400000\n",
                "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "/proc/self/cgroup": "4:cpu,cpuacct:/x\n",
                "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 8),
    ],
)
def test_processors(system, files, expected):
    system(files)
    assert machine.processors() == expected
