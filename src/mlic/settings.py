"""Kedro's settings: the hooks, and how configuration is loaded."""

import os
import warnings

from omegaconf.resolvers import oc

from mlic.config.recipes import RecipeConfigLoader
from mlic.hooks.pipeline_shape import PipelineShape
from mlic.hooks.plain_errors import PlainErrors
from mlic.hooks.results import ClosingTable
from mlic.hooks.run_lock import RunLock
from mlic.hooks.run_tracking import RunTracking

# Threads that wait for each other in a busy loop slow a training down twentyfold as soon as another
# process needs a core: let them sleep sooner. GNU OpenMP reads this when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")  # raised by Kedro-Viz

# Kedro calls them in reverse order: errors are plain before parameters are checked.
HOOKS = (PipelineShape(), RunTracking(), ClosingTable(), RunLock(), PlainErrors())

CONFIG_LOADER_CLASS = RecipeConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**"]},
    "custom_resolvers": {"oc.env": oc.env},  # mlflow.yml reads MLFLOW_TRACKING_URI
}
