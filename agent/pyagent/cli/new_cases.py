"""The first case of each plugin that `pyagent new` writes: its files by name. `example` stands for the plugin's name."""

from collections.abc import Mapping

__all__ = ["CASES"]

CASES: Mapping[str, Mapping[str, str]] = {
    "input": {
        "telegraf.conf": '[[inputs.example]]\n  path = "sample.txt"\n  least = 4\n',
        "sample.txt": "one\ntwo\nthree\n",
        "expected.out": "example,path=sample.txt lines=1i,size=14i\n",
    },
    "async_input": {
        "telegraf.conf": '[[inputs.example]]\n  urls = ["http://${SERVER}/status"]\n',
        "exchange.json": """\
[
 {
  "request": {"method": "GET", "path": "/status"},
  "answer": {"status": 200, "body": "{\\"waiting\\": 3, \\"done\\": 17}"}
 }
]
""",
        "expected.out": "example,url=http://${SERVER}/status done=17,waiting=3\n",
    },
    "service_input": {
        "telegraf.conf": '[[inputs.example]]\n  service_address = "${LISTEN}"\n  token = "secret"\n',
        "requests.json": """\
[
 {
  "request": {
   "method": "POST",
   "path": "/",
   "headers": {"Authorization": "Bearer secret"},
   "body": "{\\"name\\": \\"door\\", \\"value\\": 1}"
  },
  "answer": {"status": 204}
 },
 {
  "request": {"method": "POST", "path": "/", "headers": {}, "body": "{}"},
  "answer": {"status": 401}
 }
]
""",
        "expected.out": "example,name=door value=1\n",
    },
    "processor": {
        "telegraf.conf": '[[processors.example]]\n  key = "room"\n  value = "lab"\n',
        "input.influx": "weather,city=oslo t=1.5 1700000000000000000\nweather,room=hall t=2 1700000000000000000\n",
        "expected.out": "weather,city=oslo,room=lab t=1.5\nweather,room=hall t=2\n",
    },
    "async_processor": {
        "telegraf.conf": '[[processors.example]]\n  url = "http://${SERVER}/sensors/"\n',
        "input.influx": "weather,sensor=s1 t=1.5 1700000000000000000\nweather t=2 1700000000000000000\n",
        "exchange.json": """\
[
 {
  "request": {"method": "GET", "path": "/sensors/s1"},
  "answer": {"status": 200, "body": "{\\"name\\": \\"lab\\"}"}
 }
]
""",
        "expected.out": "weather,example=lab,sensor=s1 t=1.5\nweather t=2\n",
    },
    "aggregator": {
        "case.toml": "time = 2026-01-02T03:04:15Z\n",
        "telegraf.conf": '[[aggregators.example]]\n  period = "30s"\n  drop_original = true\n',
        "input.influx": "door,room=lab open=1i 1767323050000000000\ndoor,room=lab open=0i 1767323055000000000\n",
        "expected.out": "door,room=lab example=2i 1767323055000000000\n",
    },
    "parser": {
        "telegraf.conf": '[[inputs.file]]\n  files = ["sample.txt"]\n  data_format = "example"\n'
        '  example_separator = ":"\n',
        "sample.txt": "inside: 21.5\noutside: -3\n",
        "expected.out": "file inside=21.5,outside=-3\n",
    },
    "serializer": {
        "telegraf.conf": '[[outputs.file]]\n  files = ["out"]\n  data_format = "example"\n',
        "input.influx": 'weather,city=oslo t=1.5,sky="grey" 1700000000000000000\nweather n=3i 1700000000000000000\n',
        "expected/out": "weather.t=1.5\nweather.n=3\n",
    },
    "output": {
        "telegraf.conf": '[[outputs.example]]\n  url = "http://${SERVER}/write"\n  token = "secret"\n',
        "input.influx": "weather,city=oslo t=1.5 1700000000000000000\n",
        "exchange.json": """\
[
 {
  "request": {
   "method": "POST",
   "path": "/write",
   "headers": {"Authorization": "Bearer secret"},
   "body": "weather,city=oslo t=1.5 1700000000000000000\\n"
  },
  "answer": {"status": 204}
 }
]
""",
    },
}
