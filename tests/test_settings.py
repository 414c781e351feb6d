"""Kedro's settings: the order of the hooks, and where the configuration is found."""

from kedro.config import OmegaConfigLoader
from kedro.framework.hooks.manager import _create_hook_manager

from mlic.hooks.plain_errors import PlainErrors
from mlic.hooks.results import ClosingTable
from mlic.hooks.run_lock import RunLock
from mlic.hooks.run_tracking import RunTracking
from mlic.settings import CONFIG_LOADER_ARGS, HOOKS


def test_kedro_accepts_the_hooks_and_calls_them_in_this_order():
    manager = _create_hook_manager()
    for hook in HOOKS:
        assert manager.register(hook)
    manager.check_pending()
    # Kedro calls the last one first
    order = [impl.plugin for impl in manager.hook.after_context_created.get_hookimpls()]
    assert isinstance(order[-1], PlainErrors)
    order = [impl.plugin for impl in manager.hook.after_pipeline_run.get_hookimpls()]
    assert [type(plugin) for plugin in reversed(order)] == [
        RunTracking,
        ClosingTable,
        RunLock,
    ]
    # nothing is looked at before the run has the data for itself
    order = [impl.plugin for impl in manager.hook.before_pipeline_run.get_hookimpls()]
    assert isinstance(order[-1], RunLock)


def test_configuration_of_mlflow_reads_the_environment(tmp_path, monkeypatch):
    (tmp_path / "base").mkdir()
    (tmp_path / "local").mkdir()
    (tmp_path / "base" / "mlflow.yml").write_text(
        'tracking_uri: ${oc.env:MLFLOW_TRACKING_URI,"sqlite:///mlflow.db"}\n'
    )
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    loader = OmegaConfigLoader(str(tmp_path), **CONFIG_LOADER_ARGS)
    assert loader["mlflow"] == {"tracking_uri": "sqlite:///mlflow.db"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert loader["mlflow"] == {"tracking_uri": "http://server"}
