"""Three servers and a NATS server: one reload changes all of them, or none."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import character
from tests.e2e.conftest import BlockingServer, wait_for
from tests.e2e.fleet_processes import FleetProcesses

# Fails at the node whose port is in a file.
PICKY = """import pathlib, sys
if pathlib.Path({marker!r}).read_text() in sys.argv: raise RuntimeError('no GPU here')
"""


def sets_of(server: BlockingServer) -> list[str]:
    return [one["name"] for one in server.get("/v1/sets")[1]["sets"]]


def until(holds: Callable[[], bool]) -> None:
    wait_for(holds)
    assert holds()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcesses]:
    """A fleet of three servers, which is as good as new for each test: they bring it back to that."""
    made = FleetProcesses(tmp_path_factory.mktemp("fleet"))
    yield made
    made.close()


@pytest.fixture
def n1(nodes: FleetProcesses) -> BlockingServer:
    return nodes.servers["n1"]


@pytest.fixture
def n2(nodes: FleetProcesses) -> BlockingServer:
    return nodes.servers["n2"]


def test_setting_up_prints_what_the_engine_needs(nodes: FleetProcesses) -> None:
    """`charhost fleet setup` makes the fleet and prints what the engine needs; a second time it changes nothing."""
    assert nodes.set_up.returncode == 0, nodes.set_up.stderr
    assert "sync_interval: always" in nodes.set_up.stdout
    assert "charhost.state.>" in nodes.set_up.stdout
    again = nodes.command("fleet", "setup", nodes.nats.url)
    assert (again.returncode, "was set up before" in again.stdout) == (0, True)


def test_all_nodes_serve_the_same_and_are_ready(nodes: FleetProcesses, n1: BlockingServer) -> None:
    """Each has the same ETag, and a load balancer may send clients to any."""
    nodes.equal()
    assert [server.get("/v1/ready") for server in nodes.servers.values()] == [
        (200, {"ready": True, "reason": None})
    ] * 3


def test_a_reload_at_one_node_is_served_by_all_when_it_is_answered(nodes: FleetProcesses, n2: BlockingServer) -> None:
    """The report has every node, and each of them has the new character at once."""
    (n2.directory / "bob.py").write_text(character("Bob"))
    status, report = n2.reload()
    assert (status, report["outcome"], report["fleet"]["outcome"]) == (200, "applied", "committed")
    assert {node["node"]: node["state"] for node in report["fleet"]["nodes"]} == dict.fromkeys(nodes.servers, "serving")
    assert [server.names() for server in nodes.servers.values()] == [["Ada", "Bob", "Zoe"]] * 3
    assert len(nodes.served()) == 1


def test_a_file_that_fails_on_one_node_changes_none(nodes: FleetProcesses, n1: BlockingServer) -> None:
    """The refusal names the node, the file and the line, in the answer and in the script's output."""
    before, marker = nodes.served(), nodes.home / "marker"
    marker.write_text(str(nodes.servers["n3"].port))
    (n1.directory / "eve.py").write_text(PICKY.format(marker=str(marker)) + character("Eve"))
    status, refusal = n1.reload()
    assert (status, refusal["code"]) == (422, "fleet_refused")
    assert "n3: eve.py:2: RuntimeError: no GPU here" in refusal["detail"]
    (failed,) = [node for node in refusal["fleet"]["nodes"] if node["state"] == "failed"]
    assert (failed["node"], failed["errors"][0]["line"]) == ("n3", 2)
    assert nodes.served() == before
    script = nodes.command("reload", "--url", n1.url)
    assert (script.returncode, "n3: eve.py:2" in script.stderr) == (1, True)
    (n1.directory / "eve.py").unlink()


def test_reloads_at_several_nodes_at_once_follow_each_other(nodes: FleetProcesses) -> None:
    """Each is served by all in turn, and afterwards all serve the last one."""
    for name, server in nodes.servers.items():
        (server.directory / "ada.py").write_text(character("Ada", f"Of {name}."))
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(lambda server: server.reload(), nodes.servers.values()))
    assert [(status, report["fleet"]["outcome"]) for status, report in answers] == [(200, "committed")] * 3
    nodes.equal()
    ((generation, _),) = nodes.served()
    assert sorted(report["generation"] for _, report in answers) == [generation - 2, generation - 1, generation]


@pytest.mark.slow
def test_a_saved_file_is_served_by_all(nodes: FleetProcesses) -> None:
    """One node watches its directory, also while the engine is down: what was saved is served when it is back."""
    assert nodes.servers["n3"].end() == 0
    n3 = nodes.start("n3", "--watch", "--watch-interval", "1")
    (n3.directory / "kim.py").write_text(character("Kim"))
    until(lambda: all("Kim" in server.names() for server in nodes.servers.values()))
    nodes.nats.kill()
    (n3.directory / "kim.py").unlink()
    until(lambda: "fleet_unreachable" in n3.log or "engine of the fleet cannot be reached (" in n3.log)
    assert "Kim" in n3.names()
    nodes.nats.start()
    until(lambda: not any("Kim" in server.names() for server in nodes.servers.values()))
    assert n3.end() == 0
    nodes.start("n3")
    nodes.equal()


def test_the_engine_has_the_characters_and_not_the_key(nodes: FleetProcesses) -> None:
    """What the engine keeps on its disk is signed with the key, and has it nowhere."""
    kept = b"".join(file.read_bytes() for file in (nodes.home / "nats" / "store").rglob("*") if file.is_file())
    assert b"class PromptGenerator" in kept
    assert (nodes.home / "key").read_bytes().strip() not in kept


def test_a_rollback_brings_back_an_epoch_everywhere(nodes: FleetProcesses, n1: BlockingServer) -> None:
    """It is asked for at a node that did not make that set."""
    status, report = n1.request("POST", "/v1/characters/rollback", {"generation": 1})
    assert (status, report["fleet"]["outcome"]) == (200, "committed")
    assert [server.names() for server in nodes.servers.values()] == [["Ada", "Zoe"]] * 3


def test_the_fleet_is_shown_by_any_node(nodes: FleetProcesses, n1: BlockingServer) -> None:
    """The endpoint and the command list each node with what it serves, and a rollout by its number."""
    status, state = n1.get("/v1/fleet")
    assert (status, state["reachable"], [node["node"] for node in state["nodes"]]) == (200, True, ["n1", "n2", "n3"])
    epoch = state["sets"][0]["register"]["committed"]["epoch"]
    assert n1.get(f"/v1/fleet/rollouts/{epoch}")[1]["outcome"] == "committed"
    assert n1.get("/v1/fleet/rollouts/999")[0] == 404
    shown = nodes.command("fleet", "--url", n1.url)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert re.findall(r"^(n\d) +default +serving", shown.stdout, re.MULTILINE) == ["n1", "n2", "n3"]


def test_a_set_that_is_added_at_one_node_is_served_by_all(
    nodes: FleetProcesses, n1: BlockingServer, n2: BlockingServer
) -> None:
    """It has a register of its own: its reloads are rollouts too, and its removal is one for all nodes."""
    gaming = nodes.home / "gaming"
    gaming.mkdir()
    (gaming / "zed.py").write_text(character("Zed"))
    status, report = n1.request("PUT", "/v1/sets/gaming", {"directory": str(gaming)})
    assert (status, report["fleet"]["outcome"], report["generation"]) == (201, "committed", 1)
    wait_for(lambda: all("gaming" in sets_of(server) for server in nodes.servers.values()))
    (gaming / "yan.py").write_text(character("Yan"))
    status, report = n2.request("POST", "/v1/characters/reload", {"set": "gaming", "directory": str(gaming)})
    assert (status, report["fleet"]["outcome"], report["generation"]) == (200, "committed", 2)
    found = [server.get("/v1/characters?set=gaming")[1]["characters"] for server in nodes.servers.values()]
    assert [[one["name"] for one in characters] for characters in found] == [["Yan", "Zed"]] * 3
    assert n2.request("DELETE", "/v1/sets/gaming")[0] == 200
    wait_for(lambda: not any("gaming" in sets_of(server) for server in nodes.servers.values()))
    assert not any("gaming" in sets_of(server) for server in nodes.servers.values())
    # What was removed may be added again.
    status, report = n1.request("PUT", "/v1/sets/gaming", {"directory": str(gaming)})
    assert (status, report.get("outcome")) == (201, "applied"), report
    assert n1.request("DELETE", "/v1/sets/gaming")[0] == 200


@pytest.mark.slow
def test_a_killed_node_comes_back_equal(nodes: FleetProcesses, n1: BlockingServer) -> None:
    """The others go on without it, and it serves what they do as soon as it listens again."""
    nodes.servers["n3"].process.send_signal(signal.SIGKILL)
    nodes.servers["n3"].process.wait()
    (n1.directory / "bob.py").write_text(character("Bob", "Be bold."))
    status, report = n1.reload()
    assert (status, report["fleet"]["outcome"]) == (200, "committed")
    nodes.start("n3")
    nodes.equal()


@pytest.mark.slow
def test_while_the_engine_is_down_all_serve_and_no_reload_is_taken(nodes: FleetProcesses, n1: BlockingServer) -> None:
    """A reload is refused with 503 and the script's status 3; afterwards all goes on by itself."""
    nodes.nats.kill()
    status, refusal = n1.reload()
    assert (status, refusal["code"]) == (503, "fleet_unreachable")
    assert nodes.command("reload", "--url", n1.url).returncode == 3
    assert [server.get("/v1/ready")[0] for server in nodes.servers.values()] == [200] * 3
    assert nodes.command("fleet", "--url", n1.url).returncode == 1
    nodes.nats.start()
    wait_for(lambda: n1.get("/v1/fleet")[1]["reachable"])
    status, report = n1.reload()
    assert (status, report["fleet"]["outcome"]) == (200, "committed"), report
    nodes.equal()


def test_the_name_of_a_node_is_not_given_twice(nodes: FleetProcesses, tmp_path: Path) -> None:
    """A second process of the same name refuses to start, and names the option."""
    arguments = ("serve", "--port", str(nodes.servers["n1"].port + 1), *nodes.options, "--fleet-node", "n1")
    second = nodes.command(*arguments)
    assert (second.returncode, "choose another --fleet-node" in second.stderr) == (2, True)


def test_a_node_that_ends_is_not_waited_for(nodes: FleetProcesses, n1: BlockingServer) -> None:
    """A node that ends politely says so: the next rollout does not wait until its status has expired."""
    assert nodes.servers.pop("n3").end() == 0
    wait_for(lambda: len(n1.get("/v1/fleet")[1]["nodes"]) == 2)
    status, report = n1.reload()
    assert (status, [node["node"] for node in report["fleet"]["nodes"]]) == (200, ["n1", "n2"])
