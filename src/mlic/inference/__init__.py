"""Use of trained models: calibration, prediction and export."""
