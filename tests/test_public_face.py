"""What `import mlic` offers: every name resolves, and nothing is imported before it is used."""

import subprocess
import sys

import pytest

import mlic

HEAVY = "numpy scipy pandas torch timm mlflow sklearn networkx kedro PIL"


def test_import_is_light():
    program = (
        "import sys, mlic\n"
        f"found = {{*{HEAVY.split()}}} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", sorted(mlic.__all__))
def test_every_name_is_there_and_documented(name):
    assert getattr(mlic, name).__doc__, name
    assert name in dir(mlic)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="count_label"):
        _ = mlic.count_label


def test_names_are_the_objects_of_their_modules():
    from mlic.labels.statistics import count_labels

    assert mlic.count_labels is count_labels
    assert issubclass(mlic.errors.DataError, mlic.MlicError)
