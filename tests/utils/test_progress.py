"""Progress: a bar on a terminal, lines in the log everywhere else."""

import io
import logging

import pytest

from mlic.utils import progress as module
from mlic.utils.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def open_terminal(monkeypatch):  # no fixture: pytest exchanges stderr between set-up and test
    monkeypatch.delenv("MLIC_LOG", raising=False)
    monkeypatch.setattr("sys.stderr", Terminal())
    return module.sys.stderr


def test_terminal_shows_a_bar(monkeypatch, caplog):
    terminal = open_terminal(monkeypatch)
    assert list(progress(range(3), what="counting", unit="number")) == [0, 1, 2]
    assert "counting" in terminal.getvalue() and not caplog.records


@pytest.mark.parametrize("where", ["worker", "json", "file"])
def test_other_outputs_get_a_line_every_half_minute(monkeypatch, caplog, where):
    terminal = open_terminal(monkeypatch)
    if where == "worker":
        monkeypatch.setattr("multiprocessing.parent_process", object)
    elif where == "json":
        monkeypatch.setenv("MLIC_LOG", "json")
    else:
        monkeypatch.setattr(Terminal, "isatty", lambda _: False)
    clock = iter(range(0, 1000, 12))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO, "mlic")
    with progress(total=100, what="teachers.cgp_0", unit="image") as bar:
        for _ in range(10):
            bar.update(10)
            bar.set_postfix_str("validation mAP 40.0 %")
    assert 2 <= len(caplog.messages) <= 5
    assert caplog.messages[0].startswith("teachers.cgp_0: ")
    assert "left, validation mAP 40.0 %" in caplog.messages[-1]
    assert not terminal.getvalue()


def test_short_work_logs_nothing(monkeypatch, capsys, caplog):
    caplog.set_level(logging.INFO, "mlic")
    assert len(list(progress(iter("abc"), what="x", unit="y", total=3))) == 3
    assert not caplog.records and not capsys.readouterr().err
