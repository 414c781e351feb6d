"""Parts of `scale_out.py`: runs with several workers, and a model of the cost of large runs."""
