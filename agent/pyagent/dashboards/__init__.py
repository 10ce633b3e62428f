"""Grafana: dashboards, alert rules and provisioning made of what the plugins declare.

`subjects` says what there is to see (of a configuration, or of all installed plugins), `boards` and `alerts` make
dashboards and rules of it with Grafana's own types (grafana-foundation-sdk), `files` lays them out in a folder, and `grafana`
puts them into a running Grafana. For commands only.
"""
