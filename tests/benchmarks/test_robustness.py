"""No reader raises anything but an `MlicError`, whatever its file holds."""

import importlib
import logging
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.errors import MlicError

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))
try:
    READERS = importlib.import_module("robustness_study.readers").READERS
finally:
    sys.path.remove(str(FOLDER))


def check(reader, examples):
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "files")
        place.mkdir()
        file = reader.write(place)
        valid = file.read_bytes()
        reader.read(file)

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        @given(st.randoms(use_true_random=False))
        def read_changed(random):
            file.write_bytes(reader.change(valid, random))
            try:
                reader.read(file)
            except MlicError as error:
                assert "\n" not in str(error).strip() and str(error)

        read_changed()


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_few_odd_files(reader):
    check(reader, 5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_many_odd_files(reader):
    check(reader, 250)
