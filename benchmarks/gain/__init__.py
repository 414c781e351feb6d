"""The machinery of `psd_gain.py`: data, rows, scores, tables, and the studies themselves."""
