"""Kedro's side of mlic: small functions in nodes.py, tables that wire them in pipeline.py."""
