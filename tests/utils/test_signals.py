"""SIGTERM, and workers that are told to stop."""

import signal

import pytest

from mlic.utils.signals import exit_on_sigterm, leaving_worker


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


def test_handlers_of_others_are_kept(default_sigterm):
    def theirs(*_):
        pass

    signal.signal(signal.SIGTERM, theirs)
    exit_on_sigterm()
    assert signal.getsignal(signal.SIGTERM) is theirs


def test_the_main_process_lives_on(default_sigterm):
    deeds = []
    with leaving_worker(KeyboardInterrupt()):
        deeds.append("closed")
    assert deeds == ["closed"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
