"""The pipeline that predicts new images, from the command line's parameters to its files."""

import shutil

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError
from PIL import Image

import mlic
from mlic.caching.tensors import save_tensors
from mlic.config.parameters import check_parameters
from mlic.config.recipes import RecipeConfigLoader
from mlic.config.shape import RunShape
from mlic.errors import DataError, MlicError
from mlic.hooks.console import find_mlic_error
from mlic.inference.calibrate import calibrate_checkpoint
from mlic.inference.options import CalibrationOptions
from mlic.pipelines.inference import create_pipeline
from mlic.training.train import make_task, train
from tests.conftest import ROOT

PATH = "data/06_models/base/student.safetensors"


@pytest.fixture
def project(tmp_path, copy_project, make_job, images, labels):
    """A project with a student, beside a folder of photos."""
    project = copy_project(tmp_path)
    job = make_job()
    trained = train(make_task(job))[0]
    student = calibrate_checkpoint(trained, images, labels, job.options, CalibrationOptions())
    tensors, about = student.to_tensors()
    save_tensors(project / PATH, tensors, {**about, "cls": "mlic.training.checkpoint.Checkpoint"})
    (tmp_path / "photos").mkdir()
    for number, pixels in enumerate(images.pixels[:5]):
        Image.fromarray(pixels).save(tmp_path / f"photos/{number}.png")
    return project


def test_photos_are_predicted_by_the_student_and_shown(project, run_project):
    run_project(project, pipelines=["inference"], images=str(project / "photos"))
    table = pd.read_parquet(project / "data/07_model_output/base/predictions/predictions.parquet")
    model = mlic.load_model(project / PATH, device="cpu")
    expected = model.predict(sorted((project / "photos").iterdir()))
    np.testing.assert_allclose(table[list(model.labels)], expected[list(model.labels)], atol=1e-5)
    page = (project / "data/08_reporting/base/predictions.html").read_text()
    assert page.count("<article") == 5 and "https:" not in page


def test_another_model_is_named_on_the_command_line(project, run_project):
    shutil.move(project / PATH, project / "mine.safetensors")
    given = {"images": str(project / "photos"), "model": str(project / "mine.safetensors")}
    run_project(project, pipelines=["inference"], **given)
    assert (project / "data/08_reporting/base/predictions.html").is_file()


@pytest.mark.parametrize("model", [None, "0123456789abcdef", "missing.safetensors"])
def test_missing_model_is_one_error(project, run_project, model):
    (project / PATH).unlink()
    given = {"images": str(project / "photos"), **({"model": model} if model else {})}
    with pytest.raises(DatasetError) as raised:
        run_project(project, pipelines=["inference"], **given)
    assert isinstance(find_mlic_error(raised.value), MlicError)


@pytest.mark.parametrize("given", [{}, {"images": "/nowhere"}, {"images": "missing.csv"}])
def test_missing_images_are_one_error(project, run_project, given):
    with pytest.raises(DatasetError) as raised:
        run_project(project, pipelines=["inference"], **given)
    assert isinstance(find_mlic_error(raised.value), DataError)


def shape_of(**runtime):
    loader = RecipeConfigLoader(
        str(ROOT / "conf"), base_env="base", default_run_env="local", runtime_params=runtime
    )
    return RunShape.from_parameters(check_parameters(loader["parameters"]))


def test_name_of_a_catalog_entry_is_wired_as_such(tmp_path):
    assert shape_of(images="raw_images").inference_images == "raw_images"
    assert shape_of(images="list.csv").inference_images == "new_images"
    assert shape_of(images=str(tmp_path)).inference_images == "new_images"
    pipeline = create_pipeline(RunShape(inference_images="raw_images"))
    assert {"raw_images", "student.model"} < pipeline.inputs()


def test_section_of_the_architecture_stays_when_a_model_is_named():
    runtime = {"model": "mine.safetensors"}
    shape = shape_of(**runtime)
    assert shape.inference_model == "other_model"
    assert shape_of(model={"backbone": "resnet18"}).inference_model == "student.model"


def test_known_labels_of_a_table_reach_the_predictions(project, run_project):
    table = project / "known.csv"
    model = mlic.load_model(project / PATH, device="cpu")
    first, second = model.labels[:2]
    table.write_text(f"image,present,absent\n1.png,{first},{second}\n")
    given = {"images": str(project / "photos"), "known": str(table)}
    run_project(project, pipelines=["inference"], **given)
    found = pd.read_parquet(project / "data/07_model_output/base/predictions/predictions.parquet")
    files = sorted((project / "photos").iterdir())
    known = np.full((5, len(model.labels)), -1)
    known[1, :2] = 1, 0
    expected = model.predict(files, known=known)
    np.testing.assert_allclose(found[list(model.labels)], expected[list(model.labels)], atol=1e-5)
    assert found["predicted"].tolist() == expected["predicted"].tolist()
    assert (found.loc[1, [first, second]] == [1, 0]).all()
    # another table is another result, although model and images are the same
    table.write_text(f"image,present\n3.png,{first}\n")
    run_project(project, pipelines=["inference"], **given)
    found = pd.read_parquet(project / "data/07_model_output/base/predictions/predictions.parquet")
    assert found.loc[3, first] == 1 and found.loc[1, first] < 1


def test_wrong_table_of_known_labels_is_one_error(project, run_project):
    given = {"images": str(project / "photos"), "known": str(project / "known.csv")}
    with pytest.raises(DatasetError):
        run_project(project, pipelines=["inference"], **given)
    (project / "known.csv").write_text("image,present\n9.png,red\n")
    with pytest.raises(DataError) as caught:
        run_project(project, pipelines=["inference"], **given)
    assert caught.value.fields["image"] == "9.png"
