// Reads queries, one JSON text a line, and prints for each what influxdb-client-go makes of the answer, as Grafana's data
// source does: {"error": "..."} or {"tables": [{"columns": [[name, type], ...], "rows": N, "values": N}]}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
)

type table struct {
	Columns [][2]string `json:"columns"`
	Rows    int         `json:"rows"`
	Values  int         `json:"values"`
}

type answer struct {
	Error  string  `json:"error,omitempty"`
	Tables []table `json:"tables"`
}

func main() {
	client := influxdb2.NewClient(os.Getenv("INFLUX_HOST"), os.Getenv("INFLUX_TOKEN"))
	defer client.Close()
	api := client.QueryAPI(os.Getenv("INFLUX_ORG"))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var query string
		if err := json.Unmarshal(lines.Bytes(), &query); err != nil {
			panic(err)
		}
		found := answer{Tables: []table{}}
		result, err := api.Query(context.Background(), query)
		if err != nil {
			out.Encode(answer{Error: err.Error()})
			continue
		}
		number := -1
		for result.Next() {
			// A block of the answer may hold several tables.
			if result.TableChanged() || result.Record().Table() != number {
				number = result.Record().Table()
				one := table{}
				for _, column := range result.TableMetadata().Columns() {
					one.Columns = append(one.Columns, [2]string{column.Name(), column.DataType()})
				}
				found.Tables = append(found.Tables, one)
			}
			last := &found.Tables[len(found.Tables)-1]
			last.Rows++
			if result.Record().ValueByKey("_value") != nil {
				last.Values++
				result.Record().Time()
			}
		}
		if result.Err() != nil {
			found.Error = result.Err().Error()
		}
		out.Encode(found)
	}
}
