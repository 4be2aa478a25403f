"""The client against a real Sparkle with simulated hosts."""

import asyncio
import threading
import uuid
from typing import Any

import pytest
from conftest import WAIT_S, Dev

from ponycloud import Cloud, aio, errors
from ponycloud.cloud import Entity

INSTANCE = {"name": "web", "state": "running", "vcpu": 1, "rcpu": 1, "mem": 128}


def status(row: Any) -> Any:
    return row.current and row.current.get("status")


def is_running(row: Any) -> bool:
    return bool(status(row) == "running")


def test_an_order_is_carried_out(cloud: Cloud, tenant: Entity) -> None:
    web = tenant.instance.post(INSTANCE)
    row = web.wait_for(is_running, WAIT_S)
    assert (row.table, row.key) == ("instance", web.key)
    web.merge(state="stopped")
    assert web.desired is not None and web.desired["state"] == "stopped"
    web.wait_for(lambda row: status(row) == "stopped", WAIT_S)
    assert tenant.instance.one(name="web").key == web.key
    assert tenant.instance.list(name="web", state="running") == []
    assert [*tenant.instance] == [web]
    web.delete()
    web.wait_gone(WAIT_S)
    with pytest.raises(errors.NotFound):
        web.read()


def test_a_transaction_is_one_patch(cloud: Cloud, tenant: Entity) -> None:
    pool = cloud.storage_pool.one(name="sim-1")
    with cloud.transaction() as tx:
        mine = tx.tenant[tenant]
        volume = mine.volume.post({"name": "disk", "size": 64, "storage_pool": pool.key})
        switch = mine.switch.post({"name": "lan", "type": "bridge"})
        web = mine.instance.post(INSTANCE, children={"vnic": {"$nic": {"desired": {"switch": switch, "index": 0}}}})
        web.vdisk.post({"volume": volume, "index": 0})
        assert web.key.startswith("$")
        assert tenant.instance.list() == []
    assert web.key == tx.uuids["$instance-3"] == str(uuid.UUID(web.key))
    assert tenant.instance[web].vdisk.one(index=0).desired == {
        "uuid": tx.uuids["$vdisk-4"], "instance": web.key, "volume": volume.key, "index": 0,
    }
    assert tenant.instance[web].vnic.one().key == tx.uuids["$nic"]
    tenant.instance[web].wait_for(is_running, WAIT_S)
    with cloud.transaction() as tx:
        tx.tenant[tenant].instance[web].delete()
        tx.tenant[tenant].volume[volume].delete()
    with pytest.raises(errors.TransactionError):
        tx.tenant[tenant].delete()


def test_a_transaction_is_all_or_nothing(cloud: Cloud, tenant: Entity) -> None:
    with pytest.raises(errors.Conflict), cloud.transaction() as tx:
        tx.tenant[tenant].merge(approved=False)
        tx.tenant[tenant].verify(name="another")
    with pytest.raises(ZeroDivisionError), cloud.transaction() as tx:
        tx.tenant[tenant].merge(approved=False)
        1 / 0
    with cloud.transaction():
        pass
    assert tenant.desired is not None and tenant.desired["approved"] is True


def test_patches_begin_where_they_are_sent(cloud: Cloud, tenant: Entity) -> None:
    uuids = tenant.instance.patch([{"op": "add", "path": "/$a", "value": {"desired": {**INSTANCE, "state": "stopped"}}}])
    entity = tenant.instance[uuids["$a"]]
    entity.patch([{"op": "replace", "path": "/desired/mem", "value": 256}])
    cloud.patch([{"op": "test", "path": ["tenant", tenant.key, "desired", "approved"], "value": True}])
    assert entity.desired is not None and entity.desired["mem"] == 256


def test_what_is_refused(cloud: Cloud, tenant: Entity, dev: Dev) -> None:
    with pytest.raises(errors.InvalidData) as caught:
        tenant.instance.post({"name": 1})
    it = caught.value
    assert (it.code, it.status) == ("invalid-data", 400)
    assert it.path is not None and it.path.endswith("/desired/name") and it.message in str(it)
    with pytest.raises(errors.InvalidPatch):
        cloud.patch([{"op": "dance", "path": ""}])
    with pytest.raises(errors.NotFound):
        cloud.tenant[uuid.uuid4()].read()
    tenant.instance.post({**INSTANCE, "state": "stopped"})
    with pytest.raises(errors.Conflict):
        tenant.instance.post(INSTANCE)
    with pytest.raises(errors.Unauthenticated), Cloud(dev.url, auth="nobody@example.org:wrong") as nobody:
        nobody.tenant.list()
    with pytest.raises(errors.Unreachable):
        Cloud("http://127.0.0.1:1")
    for url in ("127.0.0.1:9860", "ftp://example.org"):
        with pytest.raises(ValueError):
            Cloud(url)


def test_what_there_is_comes_from_the_schema(cloud: Cloud, tenant: Entity) -> None:
    assert {"tenant", "storage_pool", "transaction"} <= {*dir(cloud)}
    assert "vnic" in dir(tenant.instance["x"]) and "instance" in dir(tenant)
    assert cloud["storage-pool"].list() == cloud.storage_pool.list()
    for mistake in (lambda: cloud.tennant, lambda: tenant.nic, lambda: cloud.transaction().__enter__().hots):
        with pytest.raises(AttributeError, match="there are"):
            mistake()


def test_keys_that_users_give(cloud: Cloud) -> None:
    key = f"odd/key, {uuid.uuid4()}"
    entry = cloud.config.post({"key": key, "value": [1]})
    assert (entry.key, (entry.desired or {})["value"]) == (key, [1])
    with cloud.transaction() as tx:
        tx.config.post({"key": f"{key}~", "value": {}})
        tx.config[entry].merge(value=[2])
    assert cloud.config[key].desired == {"key": key, "value": [2]}
    cloud.config[f"{key}~"].delete()
    entry.delete()


def test_watching(cloud: Cloud, tenant: Entity) -> None:
    events = tenant.instance.watch()
    assert next(events).reset
    other = tenant.volume.post({"name": "x", "size": 1, "storage_pool": cloud.storage_pool.list()[0].key})
    web = tenant.instance.post({**INSTANCE, "state": "stopped"})
    event = next(event for event in events if not event.reset)
    assert (event.table, event.key, (event.desired or {})["name"]) == ("instance", web.key, "web")
    web.delete()
    # That it is gone is told as such, or by a reset: some of those who watched may not see that.
    while not event.reset and (event.desired or event.current):
        event = next(events)
    assert event.key in (web.key, None)
    events.close()  # type: ignore[attr-defined]
    other.delete()
    other.wait_gone(WAIT_S)


def test_waits_end(tenant: Entity) -> None:
    web = tenant.instance.post({**INSTANCE, "state": "stopped"})
    with pytest.raises(errors.TimedOut, match="is not so"):
        web.wait_for(lambda row: False, 0.3)
    with pytest.raises(errors.NotFound):
        tenant.instance[uuid.uuid4()].wait_for(is_running, WAIT_S)
    threading.Timer(0.3, lambda: web.merge(state="running")).start()
    web.wait_for(is_running, WAIT_S)


def test_a_broken_connection_is_replaced(cloud: Cloud, tenant: Entity) -> None:
    tenant.read()
    for exchange in cloud._client._idle:
        exchange._stream._socket.shutdown(2)  # type: ignore[attr-defined]
    assert tenant.desired is not None


def test_asyncio(dev: Dev, tenant: Entity) -> None:
    async def order() -> None:
        async with aio.Cloud(dev.url, auth=dev.auth, timeout=WAIT_S) as cloud:
            mine = cloud.tenant[tenant]
            web = await mine.instance.post(INSTANCE)
            events = mine.instance.watch()
            assert (await anext(events)).reset
            await web.wait_for(is_running, WAIT_S)
            async with cloud.transaction() as tx:
                other = tx.tenant[tenant].instance.post({**INSTANCE, "name": "other"})
                tx.tenant[tenant].instance[web].merge(state="stopped")
            both = [web.wait_for(lambda row: status(row) == "stopped", WAIT_S), mine.instance[other].wait_for(is_running, WAIT_S)]
            await asyncio.gather(*both)
            assert (await web.desired or {})["state"] == "stopped" and (await web.current or {})["status"] == "stopped"
            assert {row.key for row in await mine.instance.list()} == {web.key, other.key}
            assert (await mine.instance.one(name="other")).key == other.key
            assert (await anext(events)).table in ("instance", "")
            await events.aclose()
            await web.delete()
            await web.wait_gone(WAIT_S)
            with pytest.raises(errors.NotFound):
                await web.read()

    asyncio.run(order())


def test_waits_of_asyncio_can_be_cancelled(dev: Dev, tenant: Entity) -> None:
    web = tenant.instance.post({**INSTANCE, "state": "stopped"})

    async def give_up() -> None:
        async with aio.Cloud(dev.url, auth=dev.auth) as cloud:
            waiting = asyncio.create_task(cloud.tenant[tenant].instance[web].wait_for(lambda row: False, WAIT_S))
            await asyncio.sleep(0.3)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(errors.TimedOut):
                await cloud.tenant[tenant].instance[web].wait_for(lambda row: False, 0.1)

    asyncio.run(give_up())
