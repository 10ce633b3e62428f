def apply(metric):
    metric.tags["seen"] = "yes"
    metric.fields["v"] = 1 / metric.fields["v"]
    return metric
