from datadog_checks.base import AgentCheck


class Shop(AgentCheck):
    def check(self, instance):
        tags = ["till:" + instance["till"]]
        self.gauge("shop.till.amount", 12.5, tags=tags)
        self.count("shop.till.sold", 3, tags=tags)
        self.service_check("shop.open", self.OK, tags=tags, message="since nine")
