"""Run a pipeline of a project once, and print the seconds that it took after the imports.

    python run_pipeline.py PROJECT PIPELINES WORKERS PARAMS

PIPELINES are separated by commas. With 0 workers the nodes run one after the other in this process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Run, and print one JSON object as the last line."""
    project, pipelines, workers, params = sys.argv[1:]
    os.chdir(project)
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project
    from omegaconf import OmegaConf

    from mlic.runners import ParallelRunner, SequentialRunner

    bootstrap_project(Path(project))
    given: Any = OmegaConf.to_container(OmegaConf.from_dotlist(params.split(",")))
    runner = ParallelRunner(max_workers=int(workers)) if int(workers) else SequentialRunner()
    with KedroSession.create(project, runtime_params=given) as session:
        start = time.perf_counter()
        session.run(pipeline_names=pipelines.split(","), runner=runner)
        seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":  # the workers are spawned
    main()
