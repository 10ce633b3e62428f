import "influxdata/influxdb"
import "date"

addDuration = (d, to, location=location) => date.add(d, to, location)
subDuration = (d, from, location=location) => date.sub(d, from, location)
to = influxdb.wideTo
alignTime = (tables=<-, alignTo=time(v: 0)) => tables
    |> stateDuration(fn: (r) => true, column: "timeDiff", unit: 1ns)
    |> map(fn: (r) => ({r with _time: time(v: int(v: alignTo) + r.timeDiff)}))
    |> drop(columns: ["timeDiff"])

// Those of universe, for the column _value alone.
window = (tables=<-, every=0s, period=0s, offset=0s, location=location, createEmpty=false) => tables
    |> universe.window(every, period, offset, location, createEmpty)
count = (tables=<-) => tables |> universe.count()
distinct = (tables=<-) => tables |> universe.distinct()
first = (tables=<-) => tables |> universe.first()
histogram = (tables=<-, bins, normalize=false) => tables |> universe.histogram(bins, normalize)
histogramQuantile = (tables=<-, quantile=0.0, minValue=0.0) => tables |> universe.histogramQuantile(quantile, minValue)
integral = (tables=<-, unit=1s, interpolate="") => tables |> universe.integral(unit, interpolate)
kaufmansAMA = (tables=<-, n) => tables |> universe.kaufmansAMA(n)
last = (tables=<-) => tables |> universe.last()
max = (tables=<-) => tables |> universe.max()
mean = (tables=<-) => tables |> universe.mean()
min = (tables=<-) => tables |> universe.min()
mode = (tables=<-) => tables |> universe.mode()
quantile = (tables=<-, q, compression=0.0, method="estimate_tdigest") => tables |> universe.quantile(q, compression, method)
skew = (tables=<-) => tables |> universe.skew()
spread = (tables=<-) => tables |> universe.spread()
stddev = (tables=<-, mode="sample") => tables |> universe.stddev(mode)
sum = (tables=<-) => tables |> universe.sum()
unique = (tables=<-) => tables |> universe.unique()
