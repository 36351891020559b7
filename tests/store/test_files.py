"""Files that are whole or absent, and locks that a kill leaves to the next."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pddm_lite.store import files
from pddm_lite.store.files import CannotWrite, alone, holder, sweep, write_atomic, write_text
from pddm_lite.store.store import Store

HOLD = """
import sys, time
from pathlib import Path
from pddm_lite.store.files import alone
with alone(Path(sys.argv[1])) as held:
    print(held, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds tmp_path/lock."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_belongs_to_one_process_until_it_dies(tmp_path, other):
    path = tmp_path / "lock"
    with alone(path, wait=False) as held:
        assert not held
    assert f"process {other.pid} on " in holder(path)
    other.send_signal(signal.SIGKILL)
    with alone(path) as held:  # waits until the system has freed it
        assert held and f"process {os.getpid()} " in holder(path)
        with alone(path, wait=False) as again:  # of an open file, not of a process
            assert not again
    assert not path.exists() and holder(path) == "another process"


def test_locks_where_none_can_be_are_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with alone(tmp_path / "file" / "lock") as held:  # a folder that cannot be made
        assert held
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    with alone(tmp_path / "lock") as held:
        assert held and not (tmp_path / "lock").exists()


def test_what_dead_processes_left_is_swept_and_nothing_else(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead = f".tmp-{files.HOST}-{process.pid}-"
    (tmp_path / f"{dead}a").write_text("half", encoding="utf-8")
    (tmp_path / f"{dead}b").mkdir()
    (tmp_path / f"{dead}b" / "c").write_text("", encoding="utf-8")
    (tmp_path / ".lock-run").write_text("", encoding="utf-8")
    kept = [f"{files.temporary_prefix()}mine", f".tmp-elsewhere-{process.pid}-x", "run", ".lock"]
    for name in kept:
        (tmp_path / name).write_text("", encoding="utf-8")
    with alone(tmp_path / ".lock-mine"):
        sweep([tmp_path, tmp_path / "none"])
        assert sorted(os.listdir(tmp_path)) == sorted([*kept, ".lock-mine"])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("how", ["text", "torch", "run"])
def test_a_full_disk_is_one_line_and_leaves_nothing(how, number, tmp_path, monkeypatch):
    write_text(tmp_path / "old.txt", "old")
    store = Store(tmp_path / "runs")
    store.save("old", {"a.json": {}}, {})

    def full(handle):
        raise OSError(number, os.strerror(number))

    class Full:  # a file whose disk is full after the first bytes
        def __init__(self, file):
            self.file, self.left = file, 3

        def write(self, data):
            self.left -= 1
            return self.file.write(data) if self.left > 0 else full(0)

        def flush(self):
            pass

    act = {
        "text": lambda: write_text(tmp_path / "old.txt", "new"),
        "torch": lambda: write_atomic(
            tmp_path / "old.txt", lambda f: torch.save({"W": torch.ones(99)}, Full(f))
        ),
        "run": lambda: store.save("old", {"a.json": {"new": 1}}, {}),
    }[how]
    if how != "torch":
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match=os.strerror(number)) as error:
        act()
    assert "\n" not in str(error.value) and "the same command goes on" in str(error.value)
    assert (tmp_path / "old.txt").read_text(encoding="utf-8") == "old"
    assert store.json("old", "a.json") == {}
    assert sorted(os.listdir(tmp_path)) == ["old.txt", "runs"]
    assert os.listdir(tmp_path / "runs") == ["old"]
    monkeypatch.undo()
    if how != "torch":
        act()  # goes on
        assert store.problem("old") == ""


def test_bytes_are_on_the_disk_before_the_name_is_there(tmp_path, monkeypatch):
    order = []
    flush, replace, rename = os.fsync, os.replace, os.rename
    monkeypatch.setattr(os, "fsync", lambda h: (order.append("flush"), flush(h)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("name"), replace(a, b)))
    monkeypatch.setattr(os, "rename", lambda a, b: (order.append("name"), rename(a, b)))
    write_text(tmp_path / "a.txt", "x")
    Store(tmp_path / "runs").save("run", {"a.json": {}, "b.json": {}}, {})
    assert order == ["flush", "name", "flush", "flush", "flush", "name"]


def test_a_lock_is_not_lost_to_who_removes_its_file(tmp_path):
    """Between opening and locking, the file may go with its last holder: then it is opened anew."""
    path = tmp_path / "lock"
    program = f"""
import sys
from pathlib import Path
from pddm_lite.store.files import alone
for _ in range(200):
    with alone(Path({str(path)!r})):
        seen = Path({str(tmp_path / "inside")!r})
        assert not seen.exists()
        seen.write_text("")
        seen.unlink()
"""
    began = time.monotonic()
    crowd = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [p.wait(timeout=120) for p in crowd] == [0, 0, 0], time.monotonic() - began
    assert not path.exists() and Path(tmp_path / "inside").exists() is False
