"""What a message says to do is done, and the command that failed then ends well."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kedro.io import DatasetError
from mlflow import MlflowClient

from mlic.errors import TrainingError
from mlic.hooks.console import find_mlic_error
from mlic.tracking.runs import close_parent, open_parent
from mlic.tracking.settings import read_settings
from mlic.training.train import make_task, peers_of, train

TINY = {
    "synthetic": {"num_images": 160, "size": 32},
    "data": {"image_size": 32, "validation_fraction": 0.2, "test_fraction": 0.3},
    "model": {"backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8}},
    "training": {"epochs": 1, "threads": 1, "augmentation": {"views": 2}},
    "partition": {"num_parts": 2},
}
TRAINED = [
    "data_preparation",
    "label_statistics",
    "baseline_training",
    "graph_partition",
    "teacher_training",
    "distillation",
]


@pytest.fixture(scope="module")
def finished(copy_project, run_project, tmp_path_factory):
    project = copy_project(tmp_path_factory.mktemp("finished"))
    run_project(project, pipelines=TRAINED, **TINY)
    return project


@pytest.fixture
def project(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "project")


def with_changes(**sections):
    return {**TINY, **{name: {**TINY.get(name, {}), **own} for name, own in sections.items()}}


VIEWS = with_changes(training={"augmentation": {"views": 3}})
PARTITION = with_changes(partition={"min_size": 5})


@pytest.mark.parametrize(
    ("first", "parameters"),
    [([], VIEWS), (["teacher_training"], VIEWS), (["graph_partition"], PARTITION)],
)
def test_the_pipelines_that_a_message_names_are_its_cure(project, run_project, first, parameters):
    if first:
        run_project(project, pipelines=first, **parameters)
    with pytest.raises(Exception, match=r"run the .* pipeline") as caught:
        run_project(project, pipelines=["distillation"], **parameters)
    message = str(find_mlic_error(caught.value))
    named = re.search(r"run the (.*) pipelines? again", message)[1].split(" and ")
    run_project(project, pipelines=named, **parameters)
    run_project(project, pipelines=["distillation"], **parameters)


def test_a_file_that_is_missing_is_made_by_the_whole_run(project, run_project):
    embeddings = {"source": "spectral", "dimension": 8}
    head = {"head": "transformer_encoder", "head_options": {"width": 8, "layers": 1, "heads": 2}}
    changed = with_changes(model={**head, "embeddings": embeddings})
    with pytest.raises(DatasetError, match=r"label_embeddings.* does not exist: .*`kedro run`"):
        run_project(project, pipelines=["baseline_training"], **changed)
    # of the whole run, only what this command needs
    run_project(project, pipelines=["label_statistics", "baseline_training"], **changed)


@pytest.mark.parametrize(
    ("failing", "damaged"),
    [
        ("baseline_training", "03_primary/base/images/pixels.json"),
        ("baseline_training", "03_primary/base/images/pixels.npy"),
        ("baseline_training", "03_primary/base/labels.parquet"),
        ("teacher_training", "05_model_input/base/partition_cgp.json"),
    ],
)
def test_what_a_message_says_to_move_away_is_made_again(project, run_project, failing, damaged):
    file = project / "data" / damaged
    file.write_bytes(file.read_bytes()[:-9] + b"damaged!!")
    changed = with_changes(training={"learning_rate": 0.02})  # every training has to run
    with pytest.raises(Exception, match=r"moved? (\S+ )?away") as caught:
        run_project(project, pipelines=[failing], **changed)
    error = find_mlic_error(caught.value)
    named = re.search(r"move (/\S+) away", str(error))
    place = Path(named[1] if named else error.fields["path"])
    assert place in (file, file.parent)
    place.rename(project / "moved")
    run_project(project, pipelines=TRAINED, **changed)
    run_project(project, pipelines=[failing], **changed)


@pytest.mark.slow
def test_a_deleted_experiment_is_restored_by_the_command_of_the_message(tmp_path):
    settings = read_settings({}, tmp_path / "a project")
    (tmp_path / "a project").mkdir()
    open_parent(settings, "all", {}, {})
    close_parent("FINISHED")
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    client.delete_experiment(client.get_experiment_by_name(settings.experiment).experiment_id)
    with pytest.raises(TrainingError) as caught:
        open_parent(settings, "all", {}, {})
    command = re.search(r"`(.*)`", str(caught.value))[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")}
    subprocess.run(command, shell=True, check=True, cwd=tmp_path, env={**environment, "PATH": path})
    assert open_parent(settings, "all", {}, {})
    close_parent("FINISHED")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory")])
def test_smaller_batches_that_a_message_names_train(make_job, monkeypatch, error):
    def fail(*_):
        raise error

    with monkeypatch.context() as patch, pytest.raises(TrainingError) as caught:
        patch.setattr("mlic.training.tasks.classification.ClassificationTask.loss", fail)
        train(make_task(make_job(batch_size=8)))
    named = re.search(r"batch_size=(\d+),training.accumulation=(\d+)", str(caught.value))
    size, accumulation = map(int, named.groups())
    assert size * accumulation == 8
    assert train(make_task(make_job(batch_size=size, accumulation=accumulation)))


def test_peers_are_made_as_the_message_says(make_job):
    job = make_job(peers=1)
    with pytest.raises(TrainingError, match=r"make them with peers_of\(job\)"):
        make_task(job)
    assert make_task(job, *peers_of(job))
