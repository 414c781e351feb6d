"""What nodes ask for, and every reason why a run cannot go to other machines."""

import socket
import sys
from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from pydantic import ValidationError

from mlic.config.cluster import RayOptions
from mlic.errors import DataError, ParameterError, TrainingError
from mlic.runners import ray_cluster
from mlic.runners.parcel import Place
from mlic.runners.ray_cluster import Machine, Needs, connected, look_around, require_travel

HERE = Machine("1", "laptop", "10.0.0.1", 8.0, 0.0)
GPU = Machine("2", "gpu", "10.0.0.2", 4.0, 2.0)


@pytest.mark.parametrize(
    ("options", "machines", "needs"),
    [
        ({}, [HERE], (3, 0)),
        ({}, [HERE, GPU], (3, 1)),
        ({"num_gpus": 0}, [HERE, GPU], (3, 0)),
        ({"num_gpus": 0.5, "num_cpus": 2}, [HERE, GPU], (2, 0.5)),
        ({}, [GPU._replace(cpus=2.0)], (2, 1)),
    ],
)
def test_missing_needs_follow_the_machines(options, machines, needs):
    assert Needs.choose(RayOptions(**options), 1, 3, machines) == needs


def test_training_on_several_gpus_gets_them():
    machine = GPU._replace(cpus=16.0, gpus=4.0)
    assert Needs.choose(RayOptions(), 2, 3, [machine]) == (6, 2)
    with pytest.raises(ParameterError, match="num_gpus"):
        Needs.choose(RayOptions(), 8, 3, [machine])


@pytest.mark.parametrize(
    ("options", "machines", "parameter"),
    [
        ({"num_gpus": 3}, [HERE, GPU], "ray.num_gpus"),
        ({"num_gpus": 1}, [HERE], "ray.num_gpus"),
        ({"num_cpus": 9}, [HERE, GPU], "ray.num_cpus"),
        # each exists, but not on one machine
        ({"num_cpus": 8, "num_gpus": 1}, [HERE, GPU], "ray.num_cpus"),
    ],
)
def test_more_than_there_is_is_an_error(options, machines, parameter):
    with pytest.raises(ParameterError) as error:
        Needs.choose(RayOptions(**options), 1, 3, machines)
    assert error.value.fields["parameter"] == parameter


def test_cluster_without_a_machine_for_tasks_is_an_error():
    with pytest.raises(TrainingError, match="worker"):
        Needs.choose(RayOptions(), 1, 3, [])


@pytest.mark.parametrize("wrong", [{"num_gpus": -1}, {"num_gpus": 1.5}, {"num_cpus": 0}])
@pytest.mark.parametrize("more", [{}, {"retries": -1}, {"address": ""}, {"copies": "s3://b/x"}])
def test_wrong_options_are_refused(wrong, more):
    for options in (wrong, more or wrong):
        with pytest.raises(ValidationError):
            RayOptions(**options)


def test_nodes_with_a_model_get_a_gpu():
    needs = Needs(3.0, 1.0)
    given = {
        "train": (["labels"], "training"),
        "predict": (["images", "baseline.model"], None),
        "infer": (["new_images", "other_model"], None),
        "teach": (["teachers.cgp_0.checkpoint"], None),
        "count": (["labels"], None),
    }
    nodes = [Node(print, i, f"{n}_out", name=n, tags=t) for n, (i, t) in given.items()]
    asked = {node.name for node in nodes if needs.of(node) == {"num_cpus": 3.0, "num_gpus": 1.0}}
    assert asked == {"train", "predict", "infer", "teach"}
    assert needs.of(nodes[-1]) == {"num_cpus": 1.0, "num_gpus": 0.0}


def test_missing_ray_is_one_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(TrainingError) as error, connected(RayOptions()):
        pass
    assert error.value.fields == {"name": "ray"} and "mlic[ray]" in str(error.value)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "nonsense", "a:b"])
def test_address_that_cannot_be_reached_is_one_line_at_once(form, monkeypatch):
    monkeypatch.setattr(ray_cluster, "import_ray", lambda: None)  # Ray itself would wait
    address = form.format(free_port())
    with pytest.raises(TrainingError) as error, connected(RayOptions(address=address)):
        pass
    assert error.value.fields == {"parameter": "ray.address", "value": address}
    assert "\n" not in str(error.value)


# --- what cannot travel ---------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path):
    (tmp_path / "data").mkdir()
    return Place(tmp_path / "data")


@pytest.fixture
def cluster(monkeypatch):
    """Functions for other machines are called here; machines that are not here see ``blind``."""
    blind = {"token": True, "paths": True, "trouble": None}

    def ask(machine, function, *arguments):
        seen = function(*arguments)
        paths = [one and blind["paths"] for one in seen.paths]
        return seen._replace(token=seen.token and blind["token"], paths=paths)

    address = SimpleNamespace(util=SimpleNamespace(get_node_ip_address=lambda: HERE.address))
    monkeypatch.setattr(ray_cluster, "import_ray", lambda: address)
    monkeypatch.setattr(ray_cluster, "_ask", ask)
    return blind


def check(place, machines=(HERE, GPU), uri=None, node=("a", "b"), values=None, **entries):
    names = {n: {"type": "json.JSONDataset", "filepath": f"{place.folder}/{n}.json"} for n in "ab"}
    catalog = DataCatalog.from_config({**names, **entries})
    for name, value in (values or {}).items():
        catalog[name] = value
    pipeline = Pipeline([Node(print, node[0], node[1], name="n")])
    require_travel(pipeline, catalog, place, list(machines), uri)


def json_at(path):
    return {"type": "json.JSONDataset", "filepath": str(path)}


def test_entries_of_the_data_folder_and_addresses_travel(place, cluster):
    check(place)
    check(place, a=json_at("memory://bucket/a.json"), b=json_at("memory://bucket/b.json"))
    assert not list(place.folder.iterdir())  # what was looked for is deleted


def test_result_outside_the_data_folder_cannot_come_from_another_machine(place, cluster, tmp_path):
    outside = json_at(tmp_path / "b.json")
    check(place, [HERE], b=outside)
    with pytest.raises(DataError) as error:
        check(place, b=outside)
    assert error.value.fields == {"name": "b"}


def test_input_outside_must_lie_on_every_machine(place, cluster, tmp_path):
    file = tmp_path / "a.json"
    with pytest.raises(DataError) as error:
        check(place, a=json_at(file))
    assert error.value.fields == {"path": file, "name": "a"}
    file.write_text("1")
    check(place, a=json_at(file))
    cluster["paths"] = False
    with pytest.raises(DataError) as error:
        check(place, a=json_at(file))
    assert error.value.fields == {"path": file, "name": "a"}


def test_file_that_a_parameter_names_must_lie_on_every_machine(place, cluster, tmp_path):
    weights = tmp_path / "weights.bin"
    weights.touch()
    cluster["paths"] = False
    given = {"node": ("params:files", "b"), "values": {"params:files": {"weights": str(weights)}}}
    with pytest.raises(DataError) as error:
        check(place, **given)
    assert error.value.fields == {"path": weights, "name": "params:files"}


def test_dataset_of_one_process_or_from_code_cannot_travel(place, cluster):
    class Own(type(DataCatalog.from_config({"a": json_at("x")})["a"])):
        _SINGLE_PROCESS = True

    with pytest.raises(DataError, match="in code") as error:
        check(place, node=("c", "b"), values={"c": Own(filepath="x")})
    assert error.value.fields == {"name": "c"}
    cached = {"type": "kedro.io.CachedDataset", "dataset": json_at(f"{place.folder}/a.json")}
    with pytest.raises(DataError, match="one process") as error:
        check(place, a=cached)
    assert error.value.fields == {"name": "a"}


def test_machine_that_does_not_see_the_data_folder_is_named(place, cluster):
    cluster["token"] = False
    with pytest.raises(DataError) as error:
        check(place)
    assert error.value.fields == {"path": place.folder, "name": HERE.name}
    assert not list(place.folder.iterdir())


def test_sqlite_serves_this_machine_only(place, cluster):
    check(place, [HERE], uri="sqlite:////x/mlflow.db")
    with pytest.raises(TrainingError) as error:
        check(place, uri="sqlite:////x/mlflow.db")
    assert error.value.fields == {"name": "sqlite:////x/mlflow.db"}


def test_server_of_mlflow_must_be_reached_from_every_machine(place, cluster):
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        check(place, uri=uri)
    with pytest.raises(TrainingError) as error:
        check(place, uri=uri)
    assert error.value.fields == {"name": HERE.name}


def test_storage_is_seen_through_copies(place, tmp_path):
    shared = Place(place.folder, f"file://{tmp_path}/shared", str(tmp_path / "copies"))
    assert not look_around(shared, "token", [], None).token
    (place.folder / "token").touch()
    shared.mirror(place.folder).push(["token"])
    assert look_around(shared, "token", [str(tmp_path), "/none"], None) == (
        True,
        [True, False],
        None,
    )
