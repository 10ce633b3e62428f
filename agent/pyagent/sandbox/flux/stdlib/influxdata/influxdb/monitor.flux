import "experimental"
import "influxdata/influxdb/schema"

bucket = "_monitoring"
write = (tables=<-) => tables |> experimental.to(bucket: bucket)
log = (tables=<-) => tables |> experimental.to(bucket: bucket)
logs = (start, stop=now(), fn) => universe.from(bucket: bucket)
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement == "notifications")
    |> filter(fn: fn)
    |> schema.fieldsAsCols()
from = (start, stop=now(), fn=(r) => true) => universe.from(bucket: bucket)
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement == "statuses")
    |> filter(fn: fn)
    |> schema.fieldsAsCols()
levelOK = "ok"
levelInfo = "info"
levelWarn = "warn"
levelCrit = "crit"
levelUnknown = "unknown"
_inOrder = (tables=<-) => tables
    |> duplicate(column: "_level", as: "____temp_level____")
    |> drop(columns: ["_level"])
    |> rename(columns: {"____temp_level____": "_level"})
    |> sort(columns: ["_source_timestamp", "_time"], desc: false)
    |> difference(columns: ["level_value"])
_done = (tables=<-) => tables
    |> drop(columns: ["level_value"])
    |> experimental.group(mode: "extend", columns: ["_level"])
_stateChanges = (fromLevel="any", toLevel="any", tables=<-) => {
    isTo = if toLevel == "any" then (r) => r._level != fromLevel and exists r._level else (r) => r._level == toLevel
    isFrom = if fromLevel == "any" then (r) => r._level != toLevel and exists r._level else (r) => r._level == fromLevel
    return tables
        |> map(fn: (r) => ({r with level_value: if isTo(r: r) then 1 else if isFrom(r: r) then 0 else -10}))
        |> _inOrder()
        |> filter(fn: (r) => r.level_value == 1)
        |> _done()
}
stateChangesOnly = (tables=<-) => tables
    |> map(fn: (r) => ({r with level_value:
        if r._level == levelCrit then 4
        else if r._level == levelWarn then 3
        else if r._level == levelInfo then 2
        else if r._level == levelOK then 1
        else 0,
    }))
    |> _inOrder()
    |> filter(fn: (r) => r.level_value != 0)
    |> _done()
stateChanges = (fromLevel="any", toLevel="any", tables=<-) =>
    if fromLevel == "any" and toLevel == "any" then tables |> stateChangesOnly()
    else tables |> _stateChanges(fromLevel: fromLevel, toLevel: toLevel)
deadman = (t, tables=<-) => tables
    |> max(column: "_time")
    |> map(fn: (r) => ({r with dead: r._time < t}))
notify = (tables=<-, endpoint, data) => tables
    |> experimental.set(o: data)
    |> experimental.group(mode: "extend", columns: experimental.objectKeys(o: data))
    |> map(fn: (r) => ({r with _measurement: "notifications", _status_timestamp: int(v: r._time), _time: now()}))
    |> endpoint()
    |> experimental.group(mode: "extend", columns: ["_sent"])
    |> log()
check = (tables=<-, data, messageFn, crit=(r) => false, warn=(r) => false, info=(r) => false, ok=(r) => true) => tables
    |> experimental.set(o: data.tags)
    |> experimental.group(mode: "extend", columns: experimental.objectKeys(o: data.tags))
    |> map(fn: (r) => ({r with
        _measurement: "statuses",
        _source_measurement: r._measurement,
        _type: data._type,
        _check_id: data._check_id,
        _check_name: data._check_name,
        _level:
            if crit(r: r) then levelCrit
            else if warn(r: r) then levelWarn
            else if info(r: r) then levelInfo
            else if ok(r: r) then levelOK
            else levelUnknown,
        _source_timestamp: int(v: r._time),
        _time: now(),
    }))
    |> map(fn: (r) => ({r with _message: messageFn(r: r)}))
    |> experimental.group(
        mode: "extend",
        columns: ["_source_measurement", "_type", "_check_id", "_check_name", "_level"],
    )
    |> write()
