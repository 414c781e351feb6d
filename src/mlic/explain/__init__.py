"""Where in an image a model sees a label, and how often that is where the label is."""
