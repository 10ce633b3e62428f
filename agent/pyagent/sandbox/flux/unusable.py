"""What InfluxDB has and this server does not."""

UNUSABLE = frozenset((
    "contrib/RohanSreerama5/naiveBayesClassifier", "contrib/bonitoo-io/alerta", "contrib/bonitoo-io/servicenow",
    "contrib/bonitoo-io/tickscript", "contrib/bonitoo-io/victorops", "contrib/bonitoo-io/zenoss", "contrib/chobbs/discord",
    "contrib/jsternberg/influxdb", "contrib/qxip/clickhouse", "contrib/qxip/logql", "contrib/rhajek/bigpanda",
    "contrib/sranka/opsgenie", "contrib/sranka/sensu", "contrib/sranka/teams", "contrib/sranka/telegram",
    "contrib/sranka/webexteams", "experimental/bigtable", "experimental/csv", "experimental/dynamic", "experimental/geo",
    "experimental/http", "experimental/http/requests", "experimental/influxdb", "experimental/iox", "experimental/mqtt",
    "experimental/polyline", "experimental/usage", "http", "http/requests", "influxdata/influxdb/sample",
    "influxdata/influxdb/secrets", "internal/boolean", "internal/gen", "internal/influxql", "internal/location",
    "internal/promql", "internal/testing", "internal/testutil", "kafka", "pagerduty", "planner", "profiler", "pushbullet",
    "slack", "socket", "sql", "testing", "testing/expect", "universe",
))  # fmt: skip
"""Packages that InfluxDB has: their import is no error here, the use of what is in them is."""
