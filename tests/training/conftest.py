import pytest

from mlic.training.state import TrainingState, rng_scope
from mlic.training.train import make_task


class ManualTraining:
    """A training of one learner whose batches and steps a test drives itself."""

    def __init__(self, task):
        self.task, options = task, task.jobs[0].options
        self.state = TrainingState(task, options)
        self.data = task.make_data()
        self.learner = self.state.learners[0]

    def batches(self, epoch):
        return self.data.batches(epoch, self.state.order, self.state.fabric)

    def loss(self, batch):
        with rng_scope(self.learner):
            return self.task.loss(0, self.learner.module, batch)

    def learn(self, batch):
        """One batch, one step."""
        loss, _ = self.loss(batch)
        self.state.fabric.backward(loss)
        self.learner.step()

    def weights(self):
        """Raw and averaged weights."""
        models = self.learner.model, self.learner.average.module
        return [{n: p.detach().clone().numpy() for n, p in m.named_parameters()} for m in models]


@pytest.fixture
def manual():
    def manual(job):
        return ManualTraining(make_task(job))

    return manual
