"""The metrics of a node of a fleet; a server without a fleet does not have them."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from charhost.metrics import counter, gauge


class FleetMetrics:
    """The metrics, as in `Metrics`: each is `charhost_fleet_` and the attribute's name."""

    connected: Gauge = gauge("1 while the engine of the fleet can be reached, else 0.")
    epoch: Gauge = gauge("The epoch that this node serves, of the default set.")
    register_epoch: Gauge = gauge("The epoch that the register says, of the default set.")
    behind_seconds: Gauge = gauge("Seconds for which this node has not served what the register says.")
    nodes: Gauge = gauge("Nodes of the fleet that are alive, as this one sees them.")
    rollouts: Counter = counter("Rollouts that this node coordinated, by outcome.", "outcome")
    reconciles: Counter = counter("Readings of the register, by result.", "result")
    bad_signatures: Counter = counter("Records that were not signed with the key of the fleet.")
    engine_errors: Counter = counter("Requests to the engine that failed.")

    def __init__(self, registry: CollectorRegistry) -> None:
        for name in FleetMetrics.__annotations__:
            setattr(self, name, getattr(FleetMetrics, name)(f"fleet_{name}", registry))
