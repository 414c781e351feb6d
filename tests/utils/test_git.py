import shutil
import subprocess

import pytest

from mlic.utils import git as provenance


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """`git_commit` as it would answer from a folder of its own, asked anew each time."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setattr(provenance, "__file__", str(folder / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return folder, provenance.git_commit.__wrapped__


def git(folder, *command):
    names = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *names, *command], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_no_repository_is_no_commit(commit):
    assert commit[1]() is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_commit_and_changes(commit):
    folder, ask = commit
    git(folder, "init", "-q")
    assert ask() is None  # no commit yet
    (folder / "a.txt").write_text("one")
    git(folder, "add", "a.txt")
    git(folder, "commit", "-qm", "first")
    head = git(folder, "rev-parse", "HEAD")
    assert ask() == head[:12]
    (folder / "results.csv").write_text("a file that git was never told of changes no code")
    assert ask() == head[:12]
    (folder / "a.txt").write_text("two")
    assert ask() == head[:12] + "+changes"


def test_no_git_is_no_commit(commit, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert commit[1]() is None
