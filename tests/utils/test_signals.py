"""SIGTERM, and workers that are interrupted."""

import signal
import threading

import pytest

from mlic.utils.signals import end_with_parent, exit_on_sigterm, finish_worker


@pytest.fixture
def default_sigterm():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def test_sigterm_unwinds_the_program(default_sigterm):
    exit_on_sigterm()
    with pytest.raises(SystemExit) as stop:
        signal.raise_signal(signal.SIGTERM)
    assert stop.value.code == 143


def test_existing_handlers_are_kept(default_sigterm):
    def theirs(*_):
        pass

    signal.signal(signal.SIGTERM, theirs)
    exit_on_sigterm()
    assert signal.getsignal(signal.SIGTERM) is theirs


def test_main_process_continues_after_an_interrupt(default_sigterm):
    actions = []
    with finish_worker(KeyboardInterrupt()):
        actions.append("closed")
    assert actions == ["closed"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_main_process_watches_nobody():
    before = threading.active_count()
    end_with_parent()
    assert threading.active_count() == before
