"""Class maps: where in an image a model finds evidence for a label, and how well they localise."""
