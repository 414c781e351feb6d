"""One loop for baseline, teachers and student; its checkpoints and their store."""
