"""Kedro's side of mlic: small functions in nodes.py, tables that wire them in pipeline.py."""

import warnings

# Namespaced entries hold dots; Kedro warns of every node that reads one from outside its namespace,
# as the report does, or frozen teachers, whose layers are the baseline's.
warnings.filterwarnings("ignore", message="One or more dataset names contain")
