"""Training tasks: what is minimised, and how the result is evaluated. One file each."""
