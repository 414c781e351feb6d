"""MLflow: runs, store, settings and saved views."""
