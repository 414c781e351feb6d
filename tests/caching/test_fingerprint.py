from pathlib import Path

import pytest

import mlic
from mlic.caching import fingerprint
from mlic.caching.fingerprint import code_fingerprint, file_fingerprint

SOURCE = '"""What it does."""\nX = 1\n\n\ndef f(a):\n    """Double."""\n    return a * 2\n'


@pytest.fixture
def stamp(tmp_path, monkeypatch):
    """Fingerprint of a package whose loss has some source."""
    for name in ("losses", "models", "training", "images", "evaluation", "distillation"):
        (tmp_path / name).mkdir()
    for name in ("images/augmentation.py", "images/preprocess.py", "evaluation/metrics.py"):
        (tmp_path / name).write_text("A = 1\n")
    monkeypatch.setattr(fingerprint.mlic, "__file__", str(tmp_path / "__init__.py"))

    def stamp(source, name="losses/loss.py"):
        (tmp_path / name).write_text(source)
        return code_fingerprint.__wrapped__()

    return stamp


@pytest.mark.parametrize(
    "same",
    [
        SOURCE.replace("What it does", "Something else"),
        SOURCE.replace('    """Double."""\n', ""),
        SOURCE.replace("X = 1", "X = 1  # one"),
        SOURCE.replace("\n\n\n", "\n"),
        SOURCE.replace("return a * 2", "return (\n        a * 2\n    )"),
    ],
)
def test_words_and_layout_do_not_count(stamp, same):
    assert same != SOURCE and stamp(SOURCE) == stamp(same)


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace("a * 2", "a * 3"),
        SOURCE.replace("X = 1", "X = '1'"),
        SOURCE.replace("def f", "def g"),
        SOURCE + "\nY = 2\n",
    ],
)
def test_code_counts(stamp, other):
    assert stamp(SOURCE) != stamp(other)


def test_names_of_files_count_and_the_judge_of_epochs_too(stamp):
    before = stamp(SOURCE)
    assert stamp("A = 2\n", "evaluation/metrics.py") != before
    assert stamp("", "models/more.py") != stamp("", "models/most.py")


def test_every_decisive_place_is_there():
    root = Path(mlic.__file__).parent
    assert all((root / name).exists() for name in fingerprint._DECISIVE)


def test_files_are_known_by_their_content(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"weights")
    two.write_bytes(b"weights")
    assert file_fingerprint(str(one)) == file_fingerprint(str(two))
    two.write_bytes(b"other weights")
    assert file_fingerprint(str(one)) != file_fingerprint(str(two))
    assert file_fingerprint(None) is None and file_fingerprint(str(tmp_path)) is None
