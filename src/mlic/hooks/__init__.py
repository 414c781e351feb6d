"""Kedro's hooks: pipeline shape, tracking, console and checks before a run.

They live in the main process only; a training opens its own MLflow run in the process that it runs
in. Nothing heavy is imported at the top of a module, because every `kedro` command loads the hooks.
"""
