"""The recipe of the published models against the paper's page, and the environments of its rows."""

import inspect
from pathlib import Path

import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.io import AbstractDataset

from mlic.config.parameters import check_parameters
from mlic.config.recipes import RecipeConfigLoader
from mlic.errors import ParameterError
from mlic.models.heads.query_decoder import QueryDecoderHead
from mlic.models.heads.transformer_encoder import TransformerEncoderHead

CONF = Path(__file__).resolve().parents[2] / "conf"
BASE = CONF / "base/catalog.yml"

# Values of psd.md, the page on the method; its section stands before each group.
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
    # 3 and 4: drawn anew every epoch, for student and teachers alike
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

# 5.1 and 5.2: backbone, head, pixels, and the mAP, CF1 and OF1 of the row "Ours+"
ROWS = {
    "coco2014_resnet101": ("resnet101", "linear", 448, (83.1, 78.2, 80.9)),
    "coco2014_resnet101_tf": ("resnet101", "transformer_encoder", 448, (85.2, 79.9, 81.9)),
    "coco2014_resnet101_q2l": ("resnet101", "query_decoder", 448, (84.9, 79.2, 81.4)),
    "coco2014_resnet101_tf_576": ("resnet101", "transformer_encoder", 576, (86.7, 81.2, 82.9)),
    "coco2014_tresnet_l": ("tresnet_l", "linear", 448, (87.3, 82.1, 83.7)),
    "coco2014_resnext50": ("resnext50_32x4d", "linear", 448, (87.7, 82.5, 84.1)),
    "nuswide_resnet101_tf": ("resnet101", "transformer_encoder", 448, (65.8, 64.0, 75.3)),
    "nuswide_tresnet_l": ("tresnet_l", "linear", 448, (66.5, 64.6, 75.5)),
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
def test_a_value_is_the_published_one(published, path):
    assert look_up(published.model_dump(), path) == PUBLISHED[path]


def test_the_table_misses_no_value():
    def leaves(tree, prefix=""):
        for key, value in tree.items():
            path = f"{prefix}{key}"
            whole = not isinstance(value, dict) or path in PUBLISHED or not value
            yield from [path] if whole else leaves(value, f"{path}.")

    recipe = yaml.safe_load((CONF / "recipes" / "published.yml").read_text(encoding="utf-8"))
    ours = {"partition.min_size", "distillation.distiller.options"}  # the page knows neither
    assert set(leaves(recipe)) - ours == set(PUBLISHED)


def test_alpha_is_one_half(published):
    distillation = published.distillation
    assert [distillation.share(s, ["cgp", "dgp"]) for s in ("cgp", "dgp")] == [0.5, 0.5]


def test_the_student_learns_slower_and_else_alike(published):
    teacher, student = (published.training.for_role(role) for role in ("teacher", "student"))
    assert (teacher.learning_rate, student.learning_rate) == (1e-4, 1e-5)
    assert student.model_copy(update={"learning_rate": 1e-4}) == teacher


@pytest.mark.parametrize(
    ("head", "sizes"), [(TransformerEncoderHead, TRANSFORMER), (QueryDecoderHead, DECODER)]
)
def test_heads_have_the_published_sizes_by_default(head, sizes):
    parameters = inspect.signature(head).parameters
    assert {name: parameters[name].default for name in sizes} == sizes


# The environments of the tables


@pytest.mark.parametrize("env", ROWS)
def test_an_environment_is_its_row(env, published):
    backbone, head, size, figures = ROWS[env]
    parameters = check_parameters(load(env))
    model = parameters.model
    assert model.backbone.partition(".")[0] == backbone and model.weights == "pretrained"
    assert (model.head, parameters.data.image_size, parameters.data.side) == (head, size, size)
    assert model.backbone_options == model.head_options == {}
    assert model.embeddings.source == ("glove" if head == "transformer_encoder" else "learned")
    frozen = (("conv1", "layer1"), True) if head == "query_decoder" else ((), False)
    assert (model.frozen, model.freeze_batch_norm) == frozen  # psd.md 3, "init"
    assert parameters.training == published.training
    assert parameters.distillation == published.distillation
    assert parameters.evaluation == published.evaluation
    header = (CONF / env / "parameters.yml").read_text(encoding="utf-8")
    assert "mAP {}, CF1 {}, OF1 {}".format(*figures) in header
    assert f"--env {env} " in header


@pytest.mark.parametrize("env", ROWS)
def test_an_environment_names_its_data_set(env):
    catalog = loader(env, folder="/somewhere")["catalog"]
    raw = catalog["raw_images"]
    kind = "Coco" if env.startswith("coco") else "NusWide"
    assert raw["type"] == f"mlic.datasets.{kind}Dataset" and raw["folder"] == "/somewhere"


ENVIRONMENTS = sorted(path.parent.name for path in CONF.glob("*/catalog.yml") if path != BASE)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_is_sound_without_its_data(env):
    """Its parameters are checked; its catalog makes the entry, which reads nothing yet."""
    parameters = check_parameters(load(env))
    assert parameters.data.source == "catalog"
    config = dict(loader(env, folder="/nowhere")["catalog"]["raw_images"])
    dataset = AbstractDataset.from_config("raw_images", config)
    assert type(dataset).__module__.startswith("mlic.datasets")
    command = f"--env {env} "
    files = [(CONF / env / name).read_text() for name in ("catalog.yml", "parameters.yml")]
    assert any(command in text for text in files), "no header says how it is run"


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_page_of_recipes_tells_of_every_environment(env):
    assert f"`{env}`" in (CONF.parent / "docs/recipes.md").read_text(encoding="utf-8")


def test_nuswides_dgp_has_its_own_exponent():
    exponents = check_parameters(load("nuswide_tresnet_l")).partition.exponents
    assert exponents == {"cgp": 0.5, "dgp": 0.25}  # psd.md 2.3
    assert check_parameters(load("nuswide_tresnet_l")).partition.num_parts == 5


# How a recipe is worked in


def test_a_recipe_on_the_command_line_goes_before_the_environment():
    plain, taken = load("voc2007"), load("voc2007", recipe="published")
    assert plain["training"]["epochs"] == 20 and taken["training"]["epochs"] == 80
    assert plain["partition"]["num_parts"] == 3 and taken["partition"]["num_parts"] == 5
    assert taken["data"] == plain["data"] and taken["model"] == plain["model"]
    check_parameters(taken)


def test_what_is_said_beside_a_recipe_goes_before_it():
    said = {"training": {"epochs": 3, "augmentation": {"views": 2}}, "seed": 5}
    taken = load("voc2007", recipe="published", **said)
    assert taken["training"]["epochs"] == 3 and taken["seed"] == 5
    assert taken["training"]["augmentation"]["views"] == 2
    assert taken["training"]["augmentation"]["cutout"] == 0.5
    taken = load("coco2014_resnet101", training={"epochs": 3})
    assert taken["training"]["epochs"] == 3 and taken["training"]["batch_size"] == 24


@pytest.fixture
def conf(tmp_path):
    """A base, an environment that names a recipe, and one that does not."""
    files = {
        "base/parameters.yml": "a: {x: 1, y: 1}\nb: {x: 1}\nd: {name: p, options: {o: 1}}",
        "named/parameters.yml": "recipe: r\na: {x: 2}",
        "plain/parameters.yml": "a: {x: 2}",
        "recipes/r.yml": "a: {x: 3, z: 3}\nc: {x: 3}\nd: {name: q}",
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
    ("env", "said", "a"),
    [
        ("named", {}, {"x": 2, "z": 3}),  # of base's section nothing is left
        ("named", {"a": {"z": 4}}, {"x": 2, "z": 4}),
        ("plain", {"recipe": "r"}, {"x": 3, "z": 3}),
        ("plain", {"recipe": "r", "a": {"x": 4}}, {"x": 4, "z": 3}),
        ("local", {"recipe": "r", "a": {"x": 4}}, {"x": 4, "z": 3}),
        ("plain", {}, {"x": 2}),
    ],
)
def test_layers(conf, env, said, a):
    found = conf(env, **said)
    assert found["a"] == a and found["b"] == {"x": 1}
    worked_in = "recipe" in found
    assert found.get("c") == ({"x": 3} if worked_in else None)
    assert found["d"] == ({"name": "q"} if worked_in else {"name": "p", "options": {"o": 1}})


def test_without_a_recipe_kedros_own_loader_says_the_same():
    plain = OmegaConfigLoader(
        str(CONF), env="voc2007", base_env="base", default_run_env="local", runtime_params={}
    )
    assert load("voc2007") == plain["parameters"]


def test_an_unknown_recipe_gets_a_hint():
    with pytest.raises(ParameterError, match=r"recipe: unknown name 'publised'; did you mean 'pub"):
        load(recipe="publised")


def test_the_project_uses_this_loader():
    from mlic import settings

    assert settings.CONFIG_LOADER_CLASS is RecipeConfigLoader


def test_parameters_are_read_once_a_session_and_are_the_askers_own(conf, tmp_path):
    session = RecipeConfigLoader(
        str(tmp_path), env="named", base_env="base", default_run_env="local"
    )
    session["parameters"]["a"]["x"] = 9
    (tmp_path / "base/parameters.yml").write_text("e: {}", encoding="utf-8")
    assert session["parameters"] == {
        "recipe": "r",
        "a": {"x": 2, "z": 3},
        "b": {"x": 1},
        "c": {"x": 3},
        "d": {"name": "q"},
    }
    assert conf("named").keys() == {"recipe", "a", "c", "d", "e"}
