"""Go's templates, by a named subset: `{{ .Name | upper }}`, `{{ if eq (.Tag "host") "a" }}...{{ end }}`, `{{ range .Fields }}`.

    template = GoTemplate(text, "template", METRIC_MEMBERS)
    template.render(metric)

A text is compiled once. What the subset has not is refused then, with line and column. docs/templates.md lists all of it.
"""

from pyagent.kit.gotemplate.functions import GO_FUNCTIONS
from pyagent.kit.gotemplate.template import GoTemplate
from pyagent.kit.gotemplate.values import METRIC_MEMBERS, Member, TemplateError

__all__ = ["GO_FUNCTIONS", "METRIC_MEMBERS", "GoTemplate", "Member", "TemplateError"]
