"""What every room may use: seeds, signals, progress, logging, plug-ins."""
