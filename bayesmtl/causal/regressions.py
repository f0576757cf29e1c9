"""A task's regression beside the causal graph: which predictors have weights that tell an effect."""

from dataclasses import dataclass
from functools import cached_property

from bayesmtl.causal.dag import Dag
from bayesmtl.causal.estimands import Biased, Effect, estimand


@dataclass(frozen=True)
class Regression:
    """A task as the graph sees it: its outcome on what the graph has of its formula.

    Parameters
    ----------
    where
        The place of its formula in the model file.
    task, outcome
        The task, and its node.
    predictors
        Nodes that have a weight.
    dag
        The causal graph.
    groups
        Nodes that say which group a row belongs to.
    """

    where: str
    task: str
    outcome: str
    predictors: tuple[str, ...]
    dag: Dag
    groups: frozenset[str] = frozenset()

    @cached_property
    def told(self) -> dict[str, Effect | Biased]:
        """What the weight of each predictor tells that acts on the outcome."""
        acting = self.dag.ancestors([self.outcome])
        return {x: self.estimand(x, self.others(x)) for x in self.predictors if x in acting}

    def others(self, exposure: str) -> frozenset[str]:
        """What is adjusted for beside a predictor, by the formula or by what selects the rows."""
        return frozenset(self.predictors) - {exposure} | self.groups | self.dag.selected

    def estimand(self, exposure: str, given: frozenset[str]) -> Effect | Biased:
        """What a weight would tell beside others."""
        return estimand(
            self._ancestral if given <= self.others("") else self.dag, exposure, self.outcome, given
        )

    def served(self, control: str) -> list[str]:
        """The predictors whose weights would tell no effect without a control."""
        effects = [x for x, told in self.told.items() if isinstance(told, Effect) and x != control]
        return [x for x in effects if isinstance(self.estimand(x, self.others(x) - {control}), Biased)]

    @cached_property
    def _ancestral(self) -> Dag:
        """The part of the graph that decides what the weights tell."""
        ends = {self.outcome, *self.predictors} | self.groups | self.dag.selected
        kept = self.dag.ancestors(ends) | ends
        return Dag(
            frozenset(arrow for arrow in self.dag.arrows if kept.issuperset(arrow)),
            frozenset(arc for arc in self.dag.arcs if kept.issuperset(arc)),
            self.dag.latent,
            selected=self.dag.selected,
        )
