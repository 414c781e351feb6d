"""Small tools for the whole package: seeds, signals, progress, logging, plug-ins."""
