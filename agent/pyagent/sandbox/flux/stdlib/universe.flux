// Functions of the package universe that are made of others.
import "date"
import "math"

timeWeightedAvg = (tables=<-, unit) => tables
    |> integral(unit: unit, interpolate: "linear")
    |> map(fn: (r) => ({r with _value: r._value * float(v: uint(v: unit)) / float(v: int(v: r._stop) - int(v: r._start))}))

cov = (x, y, on, pearsonr=false) => join(tables: {x: x, y: y}, on: on)
    |> covariance(pearsonr: pearsonr, columns: ["_value_x", "_value_y"])

pearsonr = (x, y, on) => cov(x: x, y: y, on: on, pearsonr: true)

doubleEMA = (n, tables=<-) => tables
    |> exponentialMovingAverage(n: n)
    |> duplicate(column: "_value", as: "__ema")
    |> exponentialMovingAverage(n: n)
    |> map(fn: (r) => ({r with _value: 2.0 * r.__ema - r._value}))
    |> drop(columns: ["__ema"])

tripleEMA = (n, tables=<-) => tables
    |> exponentialMovingAverage(n: n)
    |> duplicate(column: "_value", as: "__ema1")
    |> exponentialMovingAverage(n: n)
    |> duplicate(column: "_value", as: "__ema2")
    |> exponentialMovingAverage(n: n)
    |> map(fn: (r) => ({r with _value: 3.0 * r.__ema1 - 3.0 * r.__ema2 + r._value}))
    |> drop(columns: ["__ema1", "__ema2"])

kaufmansER = (n, tables=<-) => tables
    |> chandeMomentumOscillator(n: n)
    |> map(fn: (r) => ({r with _value: math.abs(x: r._value) / 100.0}))

truncateTimeColumn = (timeColumn="_time", unit, tables=<-) => tables
    |> map(fn: (r) => ({r with _time: date.truncate(t: r._time, unit: unit)}))

today = () => date.truncate(t: now(), unit: 1d)
