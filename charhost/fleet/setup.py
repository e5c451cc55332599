"""Setting up a fleet in its engine, once."""

from prometheus_client import CollectorRegistry

from charhost.fleet.engine.engine import Conflict, Engine
from charhost.fleet.options import FleetOptions, engine_for
from charhost.fleet.record import Register, register_subject
from charhost.fleet.records import Records
from charhost.fleet.signature import Signature
from charhost.metrics import FleetMetrics
from charhost.report import DEFAULT_SET
from charhost.settings import Settings


async def set_up_fleet(settings: Settings, replicas: int) -> bool:
    """Make the streams and the register; return whether there was no register. Raises `EngineError`."""
    engine = engine_for(settings)
    try:
        await engine.start()
        return await begin(engine, FleetOptions.of(settings), replicas)
    finally:
        await engine.close()


async def begin(engine: Engine, options: FleetOptions, replicas: int | None = None) -> bool:
    """Make the missing streams and the register; nothing else begins a fleet: a lost store is no new one."""
    await engine.setup(replicas)
    records = Records(engine, Signature(options.key, options.fleet), FleetMetrics(CollectorRegistry()))
    try:
        await records.write(register_subject(DEFAULT_SET), Register(), 0)
    except Conflict:
        return False
    return True
