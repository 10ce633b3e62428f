"""What an output makes of metrics before they are queued (reference: telegraf 1.4)."""

from collections.abc import Sequence

from pyagent.api import LineOptions, Metric
from pyagent.config import OutputPlan
from pyagent.lineprotocol import Encoded, encode
from pyagent.pipeline.intake import Naming
from pyagent.pipeline.selection import compile_selection

__all__ = ["Form"]


class Form:
    """Filters, then names, then the encoding. Outputs of equal form share the bytes."""

    def __init__(self, plan: OutputPlan, line_options: LineOptions) -> None:
        self.line_options = line_options
        self._naming = Naming.of(plan)
        self._filters = plan.filters
        self._selection = compile_selection(plan.filters)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Form):
            return NotImplemented
        mine, theirs = (
            (form.line_options, form._naming, form._filters if form._selection else None) for form in (self, other)
        )
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]  # filters hold dicts; mypy knows no other spelling

    @property
    def plain(self) -> bool:
        """Nothing but the encoding: text may be relayed without making metrics of it."""
        return self._selection is None and not self._naming

    def __call__(self, metrics: Sequence[Metric]) -> tuple[Encoded, int]:
        """The metrics encoded, and how many of them did not pass the filters."""
        chosen = metrics if self._selection is None else self._selection.apply(metrics)
        filtered = len(metrics) - len(chosen)
        if self._naming:
            chosen = [Metric(self._naming(m.name), m.tags, m.fields, m.time, m.kind) for m in chosen]
        return encode(chosen, self.line_options), filtered
