import "experimental"

_of = (tables=<-, quantile, onNonmonotonic) => tables
    |> universe.histogramQuantile(quantile: quantile, onNonmonotonic: onNonmonotonic)
_labelled = (tables=<-, quantile) => tables
    |> set(key: "quantile", value: string(v: quantile))
    |> experimental.group(columns: ["quantile"], mode: "extend")

histogramQuantile = (tables=<-, quantile, metricVersion=2, onNonmonotonic="error") =>
    if metricVersion == 2 then
        tables
            |> group(mode: "except", columns: ["le", "_value"])
            |> map(fn: (r) => ({r with le: float(v: r.le)}))
            |> _of(quantile, onNonmonotonic)
            |> group(mode: "except", columns: ["le", "_value", "_time"])
            |> _labelled(quantile)
    else if metricVersion == 1 then
        tables
            |> filter(fn: (r) => r._field != "sum" and r._field != "count")
            |> map(fn: (r) => ({r with le: float(v: r._field)}))
            |> group(mode: "except", columns: ["_field", "le", "_value"])
            |> _of(quantile, onNonmonotonic)
            |> group(mode: "except", columns: ["le", "_value", "_time"])
            |> _labelled(quantile)
    else
        die(msg: "Invalid metricVersion. Available versions are 1 and 2.")
