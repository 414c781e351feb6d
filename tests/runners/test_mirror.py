"""Copies in both directions: what changed, what was deleted, and what is damaged on the way."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.errors import DataError
from mlic.runners.mirror import Mirror


@pytest.fixture
def shared(tmp_path):
    return tmp_path / "shared"


@pytest.fixture
def machine(tmp_path, shared):
    return lambda name: Mirror(f"file://{shared}", tmp_path / name)


def write(folder, **files):
    for name, text in files.items():
        path = folder / "part" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read(folder):
    part = folder / "part"
    return {p.name: p.read_text() for p in part.iterdir()} if part.is_dir() else {}


def test_a_folder_arrives_as_it_left_and_nothing_else(tmp_path, machine, shared):
    write(tmp_path / "a", x="1", y="22")
    (tmp_path / "a/partner").mkdir()
    (tmp_path / "a/partner/z").write_text("3")
    (tmp_path / "a/part/w.host-1-2.partial").touch()
    (tmp_path / "a/part/.lock").touch()
    assert machine("a").push(["part", "none"]) == ["part/x", "part/y"]
    machine("b").pull(["part", "none"])
    assert read(tmp_path / "b") == read(shared) == {"x": "1", "y": "22"}
    assert not (tmp_path / "b/partner").exists()


def test_only_changes_are_copied(tmp_path, machine, shared, monkeypatch):
    write(tmp_path / "a", x="1", y="1")
    mirror, uploaded = machine("a"), []
    upload = mirror._upload
    monkeypatch.setattr(mirror, "_upload", lambda key: uploaded.append(key) or upload(key))
    for _ in range(2):
        mirror.push(["part"])
    assert uploaded == ["part/x", "part/y"] or uploaded == ["part/y", "part/x"]
    write(tmp_path / "a", x="22")
    mirror.push(["part"])
    assert uploaded[2:] == ["part/x"]
    machine("b").pull(["part"])
    before = (tmp_path / "b/part/x").stat().st_ino
    machine("b").pull(["part"])
    assert (tmp_path / "b/part/x").stat().st_ino == before


def test_a_newer_file_at_the_address_is_not_replaced_by_an_older_copy(tmp_path, machine, shared):
    """A run that is started again must not undo what a machine has stored in the meantime."""
    write(tmp_path / "a", state="epoch 1")
    machine("a").push(["part"])
    machine("b").pull(["part"])
    write(tmp_path / "b", state="epoch 20")
    machine("b").push(["part"])
    machine("a").push(["part"])
    machine("c").pull(["part"])
    assert read(tmp_path / "c") == read(shared) == {"state": "epoch 20"}


def test_what_a_copy_lost_is_deleted_and_what_it_never_had_is_kept(tmp_path, machine, shared):
    write(tmp_path / "a", x="1", y="1")
    machine("a").push(["part"])
    write(shared, z="1")
    (tmp_path / "a/part/x").unlink()
    machine("a").push(["part"])
    assert read(shared) == {"y": "1", "z": "1"}
    machine("a").pull(["part"])
    (shared / "part/y").unlink()
    write(tmp_path / "a", own="1")
    machine("a").pull(["part"])
    assert read(tmp_path / "a") == {"z": "1", "own": "1"}


def test_changes_in_a_block_are_pushed_while_it_runs(tmp_path, machine, shared):
    with machine("a").kept_up_to_date(["part"], seconds=0.01):
        write(tmp_path / "a", state="1")
        deadline = time.monotonic() + 20
        while read(shared) != {"state": "1"} and time.monotonic() < deadline:
            time.sleep(0.01)
        assert read(shared) == {"state": "1"}


@pytest.mark.parametrize("address", ["nofs://x", "file:///proc/none"])
def test_an_address_that_cannot_be_used_is_one_error(tmp_path, address):
    write(tmp_path / "a", x="1")
    with pytest.raises(DataError) as error:
        Mirror(address, tmp_path / "a").push(["part"])
    assert error.value.fields == {"path": address}


STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.text("01", max_size=3)), max_size=8
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_two_machines_in_turn_always_agree(tmp_path_factory, steps):
    """The oracle is one dictionary: whoever works pulls before and pushes after it."""
    folder, files = tmp_path_factory.mktemp("turns"), {}
    for name, file, text in steps:
        mirror = Mirror(f"file://{folder}/shared", folder / name)
        mirror.pull(["part"])
        assert read(folder / name) == files
        if text:
            files[file] = text
            write(folder / name, **{file: text})
        elif files.pop(file, None) is not None:
            (folder / name / "part" / file).unlink()
        time.sleep(0.002)  # files written within one tick of the clock have the same state
        mirror.push(["part"])
        assert read(folder / "shared") == files
