import shutil
import subprocess

import pytest

from mlic.utils import git as module


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """A folder, and `git_commit` without its cache as if the package lay there."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setattr(module, "__file__", str(folder / "git.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return folder, module.git_commit.__wrapped__


def git(folder, *command):
    names = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *names, *command], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_there_is_no_commit_outside_a_repository(commit):
    assert commit[1]() is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_commit_is_named_with_changes_of_tracked_files(commit):
    folder, ask = commit
    git(folder, "init", "-q")
    assert ask() is None  # no commit yet
    (folder / "a.txt").write_text("one")
    git(folder, "add", "a.txt")
    git(folder, "commit", "-qm", "first")
    head = git(folder, "rev-parse", "HEAD")
    assert ask() == head[:12]
    (folder / "results.csv").write_text("an untracked file changes no code")
    assert ask() == head[:12]
    (folder / "a.txt").write_text("two")
    assert ask() == head[:12] + "+changes"


def test_there_is_no_commit_without_git(commit, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert commit[1]() is None


def test_code_that_was_copied_has_the_commit_it_came_with():
    before = module.git_commit()
    for commit in ("0123456789ab", None):
        with module.use_commit(commit):
            assert module.git_commit() == commit
    assert module.git_commit() == before
