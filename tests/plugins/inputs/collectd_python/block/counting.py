import collectd

names = []


def configure(block):
    names.extend(node.values[0] for node in block.children if node.key == "Name")


def read():
    for name in names:
        values = collectd.Values(plugin="counting", type="gauge", type_instance=name, host="here")
        values.dispatch(values=[12.5], time=1600000000.0)


collectd.register_config(configure)
collectd.register_read(read)
