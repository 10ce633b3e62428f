import "influxdata/influxdb"

lastSuccess = (orTime) => influxdb._lastSuccess(orTime: orTime, lastSuccessTime: time(v: 0))
