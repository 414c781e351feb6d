"""Kedro's settings: the hooks, and where configuration is looked for."""

import os
import warnings

from omegaconf.resolvers import oc

from mlic.config.recipes import RecipeConfigLoader
from mlic.hooks.hooks import ClosingTable, PipelineShape, PlainErrors, RunTracking

# Threads that wait for each other by spinning make a training twentyfold slower as soon as
# something else wants a core: let them sleep sooner. GNU OpenMP reads this when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")  # Kedro-Viz's own affair

# Kedro calls them last first: errors are plain before parameters are checked.
HOOKS = (PipelineShape(), RunTracking(), ClosingTable(), PlainErrors())

CONFIG_LOADER_CLASS = RecipeConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**"]},
    "custom_resolvers": {"oc.env": oc.env},  # mlflow.yml honours MLFLOW_TRACKING_URI
}
