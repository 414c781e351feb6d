"""What the terminal shows: the closing table, errors as one message, and exit codes."""

import errno
import logging
from pathlib import Path

import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from rich.console import Console

from mlic.errors import DataError, TrainingError
from mlic.hooks.console import PlainExcepthook, exit_codes, find_mlic_error, is_news, results_table

CONF = Path(__file__).resolve().parents[2] / "conf"
SUMMARY = {
    "baseline": {"mAP": 50.0, "CF1": 40.0, "OF1": 45.0},
    "teachers": {"cgp": {"mAP": 51.0}, "dgp": {"mAP": 52.0}},
    "student": {"mAP": 55.5, "CF1": 41.0, "OF1": 47.0},
    "seconds": {"baseline": 10.2, "teachers": {"cgp": 20.0}, "student": 11.0, "total": 80.0},
    "seed": 0,
}


def test_results_table_has_one_row_for_each_model():
    console = Console(width=80)
    with console.capture() as capture:
        console.print(results_table(SUMMARY | {"calibrated": {"student": {"OF1": 65.25}}}))
    rows = [line.strip()[1:-1].split("│") for line in capture.get().splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["Baseline", "50.0", "40.0", "45.0", "", "10"],
        ["Ensemble of CGP teachers", "51.0", "", "", "", "20"],
        ["Ensemble of DGP teachers", "52.0", "", "", "", ""],
        ["Student", "55.5", "41.0", "47.0", "65.2", "11"],
    ]


# PlainErrors


def wrapped(error):
    try:
        try:
            raise error
        except type(error) as cause:
            raise RuntimeError("Failed while loading") from cause
    except RuntimeError as outer:
        return outer


def test_mlic_error_is_printed_as_one_message(capsys):
    others = []
    hook = PlainExcepthook(lambda *exception: others.append(exception))
    message = "image 'a[0].jpg' is missing: " + "copy it " * 20
    error = wrapped(DataError(message))
    hook(type(error), error, None)
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not others


def test_other_errors_have_a_traceback(capsys, monkeypatch):
    others = []
    hook = PlainExcepthook(lambda *exception: others.append(exception))
    bug = KeyError("a")
    hook(KeyError, bug, None)
    monkeypatch.setenv("MLIC_TRACEBACK", "1")
    ours = TrainingError("loss is NaN")
    hook(TrainingError, ours, None)
    assert [other[1] for other in others] == [bug, ours]
    assert not capsys.readouterr().err


def wrong_entry(folder):
    DataCatalog.from_config({"mine": {"type": "json.JSONDataset", "filpath": "a"}})["mine"]


def wrong_environment(folder):
    OmegaConfigLoader(str(CONF), env="mien", base_env="base")["catalog"]


def full_disk(folder):
    raise OSError(errno.ENOSPC, "No space left on device", str(folder))


def full_disk_of_another_dataset(folder):
    class Full(MemoryDataset):
        def save(self, data):
            full_disk(folder)

    Full().save("report")


def full_memory(folder):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


def wrong_yaml(folder):
    (folder / "base").mkdir()
    (folder / "base" / "catalog.yml").write_text("mine:\n\ttype: x\n")
    OmegaConfigLoader(str(folder), base_env="base", default_run_env="base")["catalog"]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (wrong_entry, ["'mine'", "filpath"]),
        (wrong_environment, ["conf/mien", "does not exist"]),
        (wrong_yaml, ["catalog.yml", "line 1"]),
        (lambda _: Pipeline([]).filter(node_names=["trian"]), ["trian"]),
        (full_disk, ["No space left", "free space"]),
        (full_disk_of_another_dataset, ["No space left", "free space"]),
        (full_memory, ["can't allocate memory", "raise the limit"]),
    ],
)
def test_mistakes_that_kedro_finds_are_printed_without_a_traceback(
    capsys, tmp_path, mistake, words
):
    with pytest.raises(Exception) as caught:
        mistake(tmp_path)
    PlainExcepthook(lambda *_: pytest.fail("a traceback"))(caught.type, caught.value, None)
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and all(word in printed for word in words), printed
    assert mistake not in (full_disk, full_disk_of_another_dataset) or printed.count("\n") == 1


def test_suppressed_cause_is_not_searched():
    try:
        try:
            raise DataError("inner")
        except DataError:
            raise ValueError("outer") from None
    except ValueError as error:
        assert find_mlic_error(error) is None


def test_kedros_log_line_is_dropped_for_errors_that_are_one_message():
    record = logging.LogRecord("kedro.pipeline.node", logging.ERROR, "", 0, "failed", (), None)
    full = OSError(errno.ENOSPC, "No space left on device")
    for error, kept in [(DataError("x"), False), (full, False), (ValueError("x"), True)]:
        try:
            raise error
        except (DataError, OSError, ValueError):
            assert is_news(record) is kept
    assert is_news(record)


@pytest.mark.parametrize(
    ("stop", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted: "),
        (SystemExit(143), 143, "terminated: "),
        (SystemExit(0), 0, ""),
    ],
)
def test_interrupted_and_terminated_runs_exit_with_their_codes(stop, code, words, capsys):
    with pytest.raises(SystemExit) as caught, exit_codes():
        raise stop
    assert caught.value.code == code
    assert capsys.readouterr().err.startswith(words)
