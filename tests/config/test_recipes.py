"""Recipes and environments: published values, rows of the paper's tables, layers of parameters."""

import inspect
import shutil
from pathlib import Path

import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.io import AbstractDataset

from mlic.config.parameters import check_parameters
from mlic.config.recipes import RecipeConfigLoader, merge_layers, read_recipe
from mlic.config.resolved import resolve
from mlic.errors import ParameterError
from mlic.models.heads.c_tran import CTranHead
from mlic.models.heads.query_decoder import QueryDecoderHead
from mlic.models.heads.transformer_encoder import TransformerEncoderHead

CONF = Path(__file__).resolve().parents[2] / "conf"
ENVIRONMENTS = sorted(
    path.parent.name for path in CONF.glob("*/catalog.yml") if path.parent.name != "base"
)
RECIPES = sorted(path.stem for path in (CONF / "recipes").glob("*.yml"))

# The published values, by section of the specification of the method (psd.md).
PUBLISHED = {
    # 2.2: the models of the tables have K = 5 groups of either kind
    "partition.strategies": ("cgp", "dgp"),
    "partition.num_parts": 5,
    # 1.2 and 2.3: ½ as released for CGP; for DGP ⅓, which leads to COCO's published groups
    "partition.exponents.cgp": 1 / 2,
    "partition.exponents.dgp": 1 / 3,
    # 3: one run for each teacher
    "teachers.mode": "separate",
    # 3: augmentation is the whole image, Cutout of half a side and RandAugment; no flip, no crop
    "training.augmentation.min_crop": 1,
    "training.augmentation.max_aspect": 1,
    "training.augmentation.flip": False,
    "training.augmentation.cutout": 0.5,
    "training.augmentation.rand_augment": 2,
    # 3 and 4: drawn again in every epoch, for student and teachers alike
    "training.augmentation.views": 80,
    # 3: no normalisation
    "training.normalise": False,
    # 3: batch, workers, autocast
    "training.batch_size": 24,
    "training.accumulation": 1,
    "training.threads": 8,
    "training.precision": "auto",
    # 3: asymmetric loss, summed over batch and classes
    "training.loss.name": "asymmetric",
    "training.loss.options": {"gamma_negative": 4, "gamma_positive": 0, "clip": 0.05},
    "training.reduction": "sum",
    # 3: optimiser and schedule
    "training.optimizer": "adam",
    "training.weight_decay": 1e-4,
    "training.learning_rate": 1e-4,
    "training.warmup": 0.1,
    "training.epochs": 80,
    "training.teacher_epoch_factor": 1,
    "training.student_epoch_factor": 1,
    # 3, and 6.9: the average starts from the model itself, without a warm-up
    "training.ema_decay": 0.9997,
    "training.ema_warmup": False,
    # 4: the student's learning rate; all else is the teachers'
    "training.overrides": {"student": {"learning_rate": 1e-5}},
    # 4: 0.5 ASL + 0.5 α E_cgp + (0.5 − 0.5 α) E_dgp of logits, α = 0.5
    "distillation.distiller.name": "logit_mse",
    "distillation.hard_weight": 0.5,
    "distillation.soft_weight": 0.5,
    # 4: metrics
    "evaluation.threshold": 0.8,
}

# 5.1 and 5.2: data set, backbone, head, pixels, and the mAP, CF1 and OF1 of the row "Ours+"
ROWS = {
    "psd_resnet101": ("coco2014", "resnet101", "linear", 448, (83.1, 78.2, 80.9)),
    "psd_resnet101_tf": ("coco2014", "resnet101", "transformer_encoder", 448, (85.2, 79.9, 81.9)),
    "psd_resnet101_q2l": ("coco2014", "resnet101", "query_decoder", 448, (84.9, 79.2, 81.4)),
    "psd_resnet101_tf_576": (
        "coco2014", "resnet101", "transformer_encoder", 576, (86.7, 81.2, 82.9)
    ),
    "psd_tresnet_l": ("coco2014", "tresnet_l", "linear", 448, (87.3, 82.1, 83.7)),
    "psd_resnext50": ("coco2014", "resnext50_32x4d", "linear", 448, (87.7, 82.5, 84.1)),
    "psd_resnet101_tf_nuswide": (
        "nuswide", "resnet101", "transformer_encoder", 448, (65.8, 64.0, 75.3)
    ),
    "psd_tresnet_l_nuswide": ("nuswide", "tresnet_l", "linear", 448, (66.5, 64.6, 75.5)),
}  # fmt: skip

# The other systems' rows: data set, backbone, head, pixels, published mAP of the plain model.
OTHER_ROWS = {
    "aam_efficientnetv2_s": ("coco2014", "tf_efficientnetv2_s", "ml_decoder", 448, "88.75"),
    "aam_tresnet_l": ("coco2014", "tresnet_l", "ml_decoder", 448, "90.30"),
    "aam_efficientnetv2_s_voc": ("voc2007", "tf_efficientnetv2_s", "ml_decoder", 448, "95.86"),
    "aam_tresnet_l_voc": ("voc2007", "tresnet_l", "ml_decoder", 448, "96.70"),
    "aam_graph_efficientnetv2_s_voc": (
        "voc2007",
        "tf_efficientnetv2_s",
        "graph_cosine",
        448,
        "not published",
    ),
    "aam_tresnet_l_nuswide": ("nuswide", "tresnet_l", "ml_decoder", 448, "68.3"),
    "aam_tresnet_l_vg500": ("vg500", "tresnet_l", "ml_decoder", 576, "not published"),
    "aam_product_efficientnet_b0": ("voc2007", "efficientnet_b0", "cosine", 224, "86.07"),
    "c_tran_resnet101": ("coco2014", "resnet101", "c_tran", 576, "85.1"),
    "c_tran_resnet101_vg500": ("vg500", "resnet101", "c_tran", 576, "38.4"),
}

# 3, "Heads"
TRANSFORMER = {"width": 1024, "layers": 3, "heads": 4, "feedforward": 1024, "dropout": 0.1}
DECODER = {
    "width": 2048, "encoder_layers": 1, "decoder_layers": 2, "heads": 4,
    "feedforward": 8192, "dropout": 0.1,
}  # fmt: skip


def loader(env="local", **runtime_params):
    return RecipeConfigLoader(
        str(CONF),
        env=env,
        base_env="base",
        default_run_env="local",
        runtime_params=runtime_params,
    )


def load(env="local", **runtime_params):
    return loader(env, **runtime_params)["parameters"]


def look_up(tree, path):
    for step in path.split("."):
        tree = tree[step]
    return tree


@pytest.fixture(scope="module")
def published():
    return check_parameters(load(recipe="published"))


@pytest.mark.parametrize("path", PUBLISHED)
def test_recipe_has_the_published_value(published, path):
    assert look_up(published.model_dump(), path) == PUBLISHED[path]


def test_every_value_of_the_recipe_is_in_the_table():
    def leaves(tree, prefix=""):
        for key, value in tree.items():
            path = f"{prefix}{key}"
            whole = not isinstance(value, dict) or path in PUBLISHED or not value
            yield from [path] if whole else leaves(value, f"{path}.")

    recipe = yaml.safe_load((CONF / "recipes" / "published.yml").read_text(encoding="utf-8"))
    # The paper states neither of these two.
    unpublished = {"partition.min_size", "distillation.distiller.options"}
    assert set(leaves(recipe)) - unpublished == set(PUBLISHED)


def test_alpha_is_one_half(published):
    distillation = published.distillation
    assert [distillation.share(s, ["cgp", "dgp"]) for s in ("cgp", "dgp")] == [0.5, 0.5]


def test_student_differs_from_teachers_by_its_learning_rate_only(published):
    teacher, student = (published.training.for_role(role) for role in ("teacher", "student"))
    assert (teacher.learning_rate, student.learning_rate) == (1e-4, 1e-5)
    assert student.model_copy(update={"learning_rate": 1e-4}) == teacher


@pytest.mark.parametrize(
    ("head", "sizes"), [(TransformerEncoderHead, TRANSFORMER), (QueryDecoderHead, DECODER)]
)
def test_heads_have_the_published_sizes_by_default(head, sizes):
    parameters = inspect.signature(head).parameters
    assert {name: parameters[name].default for name in sizes} == sizes


# Recipes of the tables' rows


def test_every_recipe_is_published_or_a_row():
    assert set(RECIPES) == {"published", "metric_learning", "c_tran", *ROWS, *OTHER_ROWS}


@pytest.mark.parametrize("name", ROWS)
def test_row_has_its_model_and_the_published_training(name, published):
    env, backbone, head, size, figures = ROWS[name]
    parameters = check_parameters(load(env, recipe=name))
    model = parameters.model
    assert model.backbone.partition(".")[0] == backbone and model.weights == "pretrained"
    assert (model.head, parameters.data.image_size, parameters.data.side) == (head, size, size)
    assert model.backbone_options == model.head_options == {}
    assert model.embeddings.source == ("glove" if head == "transformer_encoder" else "learned")
    frozen = (("conv1", "layer1"), True) if head == "query_decoder" else ((), False)
    assert (model.frozen, model.freeze_batch_norm) == frozen  # psd.md 3, "init"
    # psd.md 2.3: the published groups of NUS-WIDE have an exponent of their own
    exponents = {"cgp": 1 / 2, "dgp": 1 / 4 if env == "nuswide" else 1 / 3}
    assert parameters.partition == published.partition.model_copy(update={"exponents": exponents})
    assert parameters.training == published.training
    assert parameters.teachers == published.teachers
    assert parameters.distillation == published.distillation
    assert parameters.evaluation == published.evaluation
    assert parameters.data.source == "catalog" and parameters.data.validation_fraction == 0.05
    header = (CONF / "recipes" / f"{name}.yml").read_text(encoding="utf-8")
    assert "mAP {}, CF1 {}, OF1 {}".format(*figures) in header
    assert f"--env {env} --params recipe={name}," in header


@pytest.mark.parametrize("name", OTHER_ROWS)
def test_row_of_another_system_has_its_model_and_states_its_figure(name):
    env, backbone, head, size, figure = OTHER_ROWS[name]
    parameters = check_parameters(load(env, recipe=name))
    model = parameters.model
    assert model.backbone.partition(".")[0] == backbone and model.weights == "pretrained"
    assert (model.head, parameters.data.image_size) == (head, size)
    header = (CONF / "recipes" / f"{name}.yml").read_text(encoding="utf-8")
    assert f"mAP {figure}" in header and f"--env {env} --params recipe={name}," in header


def test_rows_of_metric_learning_have_their_own_values():
    """metric_learning.md B2, the columns of VOC and OTX."""
    training = check_parameters(load("voc2007", recipe="aam_tresnet_l_voc")).training
    assert training.loss.options == {"scale": 17.0, "positive_weight": 0.7}
    assert (training.learning_rate, training.ema_decay) == (0.005, 0.9993)
    parameters = check_parameters(load("voc2007", recipe="aam_graph_efficientnetv2_s_voc"))
    options = {"scale": 17.0, "layer": "gat", "pooling": "avg+max", "threshold": 0.4}
    assert parameters.model.head_options == options
    product = check_parameters(load("voc2007", recipe="aam_product_efficientnet_b0")).training.loss
    assert product.options["divide_by_scale"] is False and product.options["gamma_negative"] == 1


def test_metric_learning_has_the_released_values():
    """metric_learning.md B2, the column of COCO."""
    training = check_parameters(load(recipe="aam_tresnet_l")).training
    assert training.loss.options == {"scale": 23.0, "positive_weight": 0.7}
    assert (training.learning_rate, training.weight_decay, training.warmup) == (7e-3, 5e-4, 0.2)
    assert (training.batch_size, training.epochs, training.sharpness_radius) == (84, 60, 0.05)
    assert (training.ema_decay, training.ema_warmup, training.reduction) == (0.9997, False, "sum")
    assert training.augmentation.cutout == 0.4 and training.augmentation.flip


def test_c_tran_has_the_published_values():
    """ctran.md A2."""
    training = check_parameters(load(recipe="c_tran_resnet101")).training
    assert (training.optimizer, training.learning_rate, training.batch_size) == ("adam", 1e-5, 16)
    assert training.weight_decay == 0 and training.label_mask.max_known == 0.75
    parameters = inspect.signature(CTranHead).parameters
    defaults = {name: parameters[name].default for name in ("layers", "heads", "dropout", "width")}
    assert defaults == {"layers": 3, "heads": 4, "dropout": 0.1, "width": None}


# Environments

COMMON = {
    "data.source": "catalog",
    "data.test_fraction": 0.2,
    "training.teacher_epoch_factor": 1,
    "training.student_epoch_factor": 1,
    "training.weight_decay": 1e-4,
    "training.threads": 4,
    "model.backbone_options.channels": None,
    "model.backbone_options.stem_width": None,
}
LARGE = COMMON | {
    "data.image_size": 448,
    "data.validation_fraction": 0.05,
    "partition.num_parts": 5,
    "model.backbone": "resnet101",
    "model.weights": "pretrained",
    "training.epochs": 20,
    "training.batch_size": 24,
    "training.accumulation": 2,
    "training.learning_rate": 1e-4,
    "training.ema_decay": 0.9997,
}
SMALL = COMMON | {
    "data.image_size": 96,
    "data.validation_fraction": 0.1,
    "model.backbone": "mobilenetv2_035",
    "model.backbone_options.pad_type": "same",
    "training.ema_decay": 0.998,
}
ATTENTION = LARGE | {
    "model.head": "c_tran",
    "training.batch_size": 16,
    "training.accumulation": 1,
    "training.backbone_rate": 0.1,
}
DIFFERENCES = {
    "coco1000": ATTENTION,
    "vg500": ATTENTION,
    "cub": ATTENTION
    | {
        "data.image_size": 299,
        "data.validation_fraction": 0.1,
        "partition.num_parts": 4,
        "training.epochs": 30,
        "training.label_mask.never_known": ("[0-9][0-9][0-9].*",),
    },
    "coco2014": LARGE,
    "nuswide": LARGE | {"data.max_unreadable": 0.1},
    "voc2007": COMMON
    | {
        "data.image_size": 224,
        "data.store_size": 256,
        "data.validation_fraction": 0.2,
        "model.backbone": "resnet50",
        "model.weights": "pretrained",
        "training.epochs": 20,
        "training.batch_size": 64,
        "training.learning_rate": 2e-4,
        "training.ema_decay": 0.9997,
    },
    "ucmerced": SMALL | {"training.epochs": 10, "training.learning_rate": 1e-3},
    "corel5k": SMALL
    | {
        "data.drop_labels_below": 20,
        "training.epochs": 12,
        "training.learning_rate": 2e-3,
        "training.augmentation.views": 8,
        "distillation.distiller.options.temperature": None,  # its default is the same 1.0
        "distillation.hard_weight": 1.0,
        "distillation.soft_weight": 0.3,
    },
}


def leaves_of(tree, prefix=""):
    """Values of a tree of parameters by their dotted path."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves_of(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_environment_differs_from_base_in_these_values_only(env):
    """Every value that an environment trains with, whichever layer it comes from."""
    base, own = (dict(leaves_of(check_parameters(load(e)).model_dump())) for e in ("local", env))
    assert (base.pop("environment"), own.pop("environment")) == ("base", env)
    different = {
        path: own.get(path) for path in base.keys() | own.keys() if base.get(path) != own.get(path)
    }
    expected = DIFFERENCES[env]
    assert different == {k: v for k, v in expected.items() if v != base.get(k)}


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_environment_is_valid_without_its_data(env):
    """Its catalog entry can be created, which reads nothing yet."""
    config = dict(loader(env, folder="/nowhere")["catalog"]["raw_images"])
    assert "/nowhere" in str(config.get("folder", config.get("filepath")))
    dataset = AbstractDataset.from_config("raw_images", config)
    assert type(dataset).__module__.startswith("mlic.datasets")
    files = [(CONF / env / name).read_text() for name in ("catalog.yml", "parameters.yml")]
    assert any(f"--env {env} " in text for text in files), "no header states how to run it"


@pytest.mark.parametrize("name", [*ENVIRONMENTS, *RECIPES])
def test_documentation_lists_every_environment_and_recipe(name):
    text = (CONF.parent / "docs/recipes.md").read_text(encoding="utf-8")
    assert f"`{name}`" in text or f"recipe={name}`" in text


# Layers of parameters


def test_recipe_from_the_command_line_replaces_values_of_the_environment():
    alone, merged = load("voc2007"), load("voc2007", recipe="published")
    assert alone["training"]["epochs"] == 20 and merged["training"]["epochs"] == 80
    assert alone["partition"]["num_parts"] == 3 and merged["partition"]["num_parts"] == 5
    assert merged["data"] == alone["data"] and merged["model"] == alone["model"]
    check_parameters(merged)


def test_further_parameters_of_the_command_line_replace_those_of_the_recipe():
    given = {"training": {"epochs": 3, "augmentation": {"views": 2}}, "seed": 5}
    merged = load("voc2007", recipe="published", **given)
    assert merged["training"]["epochs"] == 3 and merged["seed"] == 5
    assert merged["training"]["augmentation"]["views"] == 2
    assert merged["training"]["augmentation"]["cutout"] == 0.5
    merged = load("coco2014", recipe="psd_resnet101", training={"epochs": 3})
    assert merged["training"]["epochs"] == 3 and merged["training"]["batch_size"] == 24


@pytest.fixture
def conf(tmp_path):
    """Load from a base, an environment that names a recipe, and one that does not."""
    files = {
        "base/parameters.yml": "a: {x: 1, y: 1}\nb: {x: 1}\nd: {name: p, options: {o: 1}}",
        "named/parameters.yml": "recipe: r\na: {x: 2}",
        "unnamed/parameters.yml": "a: {x: 2}",
        "recipes/r.yml": "extends: s\na: {x: 3, z: 3}\nd: {name: q}",
        "recipes/s.yml": "a: {z: 9}\nc: {x: 3}",
        "recipes/circle.yml": "extends: circle",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "local").mkdir()

    def load(env, **runtime_params):
        return RecipeConfigLoader(
            str(tmp_path), env=env, base_env="base", default_run_env="local",
            runtime_params=runtime_params,
        )["parameters"]  # fmt: skip

    return load


@pytest.mark.parametrize(
    ("env", "given", "a"),
    [
        ("named", {}, {"x": 2, "y": 1, "z": 3}),
        ("named", {"a": {"z": 4}}, {"x": 2, "y": 1, "z": 4}),
        ("unnamed", {"recipe": "r"}, {"x": 3, "y": 1, "z": 3}),
        ("unnamed", {"recipe": "r", "a": {"x": 4}}, {"x": 4, "y": 1, "z": 3}),
        ("local", {"recipe": "r", "a": {"x": 4}}, {"x": 4, "y": 1, "z": 3}),
        ("unnamed", {}, {"x": 2, "y": 1}),
        ("local", {}, {"x": 1, "y": 1}),
    ],
)
def test_layers_are_merged_key_by_key(conf, env, given, a):
    found = conf(env, **given)
    assert found["a"] == a and found["b"] == {"x": 1}
    with_recipe = "recipe" in found
    assert found.get("c") == ({"x": 3} if with_recipe else None)
    assert found["d"] == ({"name": "q"} if with_recipe else {"name": "p", "options": {"o": 1}})


@pytest.mark.parametrize(
    ("given", "d"),
    [
        ({"name": "t"}, {"name": "t"}),
        ({"name": "t", "options": {"k": 2}}, {"name": "t", "options": {"k": 2}}),
        ({"options": {"k": 2}}, {"name": "p", "options": {"o": 1, "k": 2}}),
    ],
)
def test_options_of_another_plug_in_are_dropped(conf, given, d):
    assert conf("local", d=given)["d"] == d


def test_a_backbone_from_the_command_line_leaves_the_options_of_the_demo_behind():
    assert "backbone_options" not in load("voc2007")["model"]
    assert "backbone_options" not in load("local", model={"backbone": "resnet18"})["model"]
    own = {"backbone": "resnet18", "backbone_options": {"stem_width": 4}}
    assert load("local", model=own)["model"]["backbone_options"] == {"stem_width": 4}


def test_merging_leaves_the_layers_unchanged():
    lower, upper = {"a": {"name": "x", "options": {"o": 1}}}, {"a": {"name": "y"}}
    merge_layers(lower, upper)["a"]["name"] = "z"
    assert lower == {"a": {"name": "x", "options": {"o": 1}}} and upper == {"a": {"name": "y"}}


def test_without_recipe_and_plug_ins_the_layers_are_those_of_kedros_soft_merge(tmp_path, conf):
    kedros = OmegaConfigLoader(
        str(tmp_path), env="unnamed", base_env="base", default_run_env="local",
        merge_strategy={"parameters": "soft"}, runtime_params={"a": {"w": 1}},
    )  # fmt: skip
    assert conf("unnamed", a={"w": 1}) == kedros["parameters"]


def test_unknown_recipe_is_refused_with_a_hint():
    with pytest.raises(ParameterError, match="'published'") as caught:
        load(recipe="publised")
    assert caught.value.fields == {"parameter": "recipe", "value": "publised"}


def test_recipe_that_extends_itself_is_refused(conf, tmp_path):
    with pytest.raises(ParameterError) as caught:
        read_recipe(tmp_path / "recipes", "circle")
    assert caught.value.fields["value"] == "circle"


def test_project_uses_this_loader():
    from mlic import settings

    assert settings.CONFIG_LOADER_CLASS is RecipeConfigLoader


def test_parameters_are_read_once_per_session_and_copied_for_each_caller(conf, tmp_path):
    session = RecipeConfigLoader(
        str(tmp_path), env="named", base_env="base", default_run_env="local"
    )
    session["parameters"]["a"]["x"] = 9
    (tmp_path / "base/parameters.yml").write_text("e: {}", encoding="utf-8")
    assert session["parameters"] == {
        "recipe": "r",
        "a": {"x": 2, "y": 1, "z": 3},
        "b": {"x": 1},
        "c": {"x": 3},
        "d": {"name": "q"},
    }
    assert conf("named").keys() == {"recipe", "a", "c", "d", "e"}


def test_every_environment_has_folders_of_its_own():
    def folder(env):
        return RecipeConfigLoader(str(CONF), env=env, base_env="base", default_run_env="local")

    loaders = {name: folder(env) for name, env in {"base": None, "voc2007": "voc2007"}.items()}
    # in turns, because resolvers belong to the process
    for name, loader in [*loaders.items(), *reversed(loaders.items())]:
        entries = loader["catalog"]
        written = [e.get("filepath", "") for n, e in entries.items() if n != "user_groups"]
        data = str(CONF.parent / "data")
        own = [path.removeprefix(data) for path in written if path.startswith(data)]
        assert own and all(f"/{name}" in path for path in own), own


def test_paths_below_data_start_at_the_data_folder():
    def load(**runtime):
        options = {"base_env": "base", "default_run_env": "base", "runtime_params": runtime}
        loader = RecipeConfigLoader(str(CONF), **options)
        return loader["parameters"]["data_folder"], loader["catalog"]["labels"]["filepath"]

    project = str(CONF.parent)
    own = "03_primary/base/labels.parquet"
    assert load() == (f"{project}/data", f"{project}/data/{own}")
    assert load(data_folder="/mnt/shared") == ("/mnt/shared", f"/mnt/shared/{own}")
    assert load(data_folder="disk") == (f"{project}/disk", f"{project}/disk/{own}")


def leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


OVERRIDES = {  # one in each section, with another value than any environment has
    "data": {"max_unreadable": 0.123},
    "synthetic": {"size": 47},
    "partition": {"num_parts": 2},
    "model": {"head_options": {"dropout": 0.125}},
    "training": {"epochs": 123},
    "teachers": {"targets": "float32"},
    "distillation": {"hard_weight": 0.25},
    "controls": {"budget_matched_baseline": True},
    "calibration": {"fit": "global"},
    "evaluation": {"threshold": 0.625},
    "explain": {"images": 17},
    "registry": {"name": "x"},
}


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("section", OVERRIDES)
def test_an_override_changes_its_own_value_only(env, section):
    """Whatever the environment writes, all other values of the section stay as they are."""

    def values(**runtime):
        loader = RecipeConfigLoader(
            str(CONF), env=env, base_env="base", default_run_env="base", runtime_params=runtime
        )
        return dict(leaves(check_parameters(loader["parameters"]).model_dump(mode="json")))

    before, after = values(), values(**{section: OVERRIDES[section]})
    ((key, value),) = leaves({section: OVERRIDES[section]})
    assert after[key] == value
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= {key, "model.head_options"}  # which is a leaf while it is empty


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_value_has_a_source_that_contains_it(env):
    given = {"training": {"epochs": 123}, "recipe": "published"}
    loader = RecipeConfigLoader(
        str(CONF), env=env, base_env="base", default_run_env="base", runtime_params=given
    )
    layers = {place: dict(leaves(tree)) for place, tree in loader.layers().items()}
    found = {one.key: one for one in resolve(loader)}
    assert found["training.epochs"][1:] == (123, "--params")
    assert found["recipe"].source == "--params"
    assert found["distillation.distiller.name"].source == "conf/recipes/published.yml"
    assert {one.source for one in found.values()} <= {*layers, "default"}
    assert len([one for one in found.values() if one.source == "conf/base"]) > 5
    for key, value, source in found.values():
        if key in layers.get(source, {}) and isinstance(value, bool | int):
            assert layers[source][key] == value, key


def test_paths_start_at_the_project_from_any_folder(tmp_path, monkeypatch):
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "photos").mkdir()
    (tmp_path / "weights.safetensors").write_bytes(b"")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "conf/mine").mkdir()
    (tmp_path / "conf/mine/catalog.yml").write_text(
        "raw_images: {type: x, filepath: a.csv, folder: photos, classes: names.txt}\n"
        "other: {type: x, source: photos, tracking_uri: 'sqlite:///mlflow.db'}\n"
        "third: {type: x, source: 0123abc, tracking_uri: 'http://host:1/'}\n"
    )
    (tmp_path / "conf/mine/parameters.yml").write_text("folder: photos\n")
    monkeypatch.chdir(tmp_path / "notebooks")
    given = {"model": {"weights": "weights.safetensors"}, "trained_model": "0123abc"}
    loader = RecipeConfigLoader(
        str(tmp_path / "conf"), env="mine", base_env="base", default_run_env="base",
        runtime_params=given,
    )  # fmt: skip
    parameters, catalog = loader["parameters"], loader["catalog"]
    assert parameters["folder"] == str(tmp_path / "photos")
    assert parameters["model"]["weights"] == str(tmp_path / "weights.safetensors")
    assert parameters["trained_model"] == "0123abc"  # a run of MLflow
    assert catalog["raw_images"]["folder"] == str(tmp_path / "photos")
    assert catalog["raw_images"]["classes"] == str(tmp_path / "names.txt")
    assert catalog["other"]["tracking_uri"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert catalog["third"]["source"] == "0123abc"
    assert catalog["third"]["tracking_uri"] == "http://host:1/"


def test_a_folder_that_kedro_cannot_read_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="rename the folder"):
        RecipeConfigLoader(str(tmp_path / "a[b]" / "conf"), base_env="base", default_run_env="base")
