"""Where in a picture a model sees a label, and how often that is where the label is."""
