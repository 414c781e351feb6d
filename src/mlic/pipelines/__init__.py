"""Pipelines: small functions in nodes.py, and the tables that connect them in pipeline.py."""

import warnings

# The dots in "baseline.checkpoint" are namespaces. Kedro warns about every node that reads such an
# entry from outside its namespace, as the report and frozen teachers do.
warnings.filterwarnings("ignore", message="One or more dataset names contain")
