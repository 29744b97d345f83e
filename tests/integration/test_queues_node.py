"""Queues by the unmodified `@azure/service-bus` of npm, which takes them for its emulator."""

from pathlib import Path

from tests.support.node_clients import QUEUE_PACKAGES, run_script
from tests.support.queue_server import QueueServer


def test_the_client_of_node_takes_all_steps(tmp_path: Path) -> None:
    """Send, batch, peek, renew, complete, dead-letter, defer, abandon, schedule, cancel, receive and delete, sessions
    with a state: it settles by `$management`, and its sessions come in order."""
    server = QueueServer(tmp_path)
    server.create("js")
    server.create("js_sessions", has_sessions=True)
    server.start()
    try:
        assert run_script(_STEPS, server.connection_string, packages=QUEUE_PACKAGES) == "all\n"
    finally:
        server.stop()


_STEPS = """
const { ServiceBusClient } = require("@azure/service-bus");
const assert = require("node:assert");
(async () => {
  const client = new ServiceBusClient(process.argv[1], { retryOptions: { maxRetries: 0 } });
  const sender = client.createSender("js");
  await sender.sendMessages({ body: "one", messageId: "m1", applicationProperties: { a: 1 } });
  const batch = await sender.createMessageBatch();
  for (let i = 0; i < 4; i++) batch.tryAddMessage({ body: "b" + i });
  await sender.sendMessages(batch);
  const receiver = client.createReceiver("js");
  const seenFrom = { fromSequenceNumber: require("long").fromNumber(1) };
  assert.equal((await receiver.peekMessages(5, seenFrom)).map((m) => m.body).join(), "one,b0,b1,b2,b3");
  const found = await receiver.receiveMessages(5, { maxWaitTimeInMs: 5000 });
  assert.deepEqual(found.map((m) => m.body), ["one", "b0", "b1", "b2", "b3"]);
  const until = found[0].lockedUntilUtc;
  assert(await receiver.renewMessageLock(found[0]) > until);
  await receiver.completeMessage(found[0]);
  await receiver.deadLetterMessage(found[1], { deadLetterReason: "r", deadLetterErrorDescription: "d" });
  await receiver.deferMessage(found[2]);
  await receiver.abandonMessage(found[3]);
  await receiver.completeMessage(found[4]);
  const dead = client.createReceiver("js", { subQueueType: "deadLetter" });
  const [letter] = await dead.receiveMessages(1, { maxWaitTimeInMs: 5000 });
  assert.deepEqual([letter.body, letter.deadLetterReason, letter.deadLetterErrorDescription], ["b0", "r", "d"]);
  await dead.completeMessage(letter);
  const [deferred] = await receiver.receiveDeferredMessages(found[2].sequenceNumber);
  assert.equal(deferred.body, "b1");
  await receiver.completeMessage(deferred);
  const [again] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 5000 });
  assert.deepEqual([again.body, again.deliveryCount], ["b2", 1]);
  await receiver.completeMessage(again);
  const at = new Date(Date.now() + 1500);
  const numbers = await sender.scheduleMessages([{ body: "s0" }, { body: "s1" }], at);
  await sender.cancelScheduledMessages(numbers[0]);
  const [late] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 10000 });
  assert.equal(late.body, "s1");
  await receiver.completeMessage(late);
  const gone = client.createReceiver("js", { receiveMode: "receiveAndDelete" });
  await sender.sendMessages({ body: "x" });
  assert.equal((await gone.receiveMessages(1, { maxWaitTimeInMs: 5000 }))[0].body, "x");
  const sessions = client.createSender("js_sessions");
  for (let i = 0; i < 6; i++) await sessions.sendMessages({ body: "" + i, sessionId: "ab"[i % 2] });
  const a = await client.acceptSession("js_sessions", "a");
  assert.deepEqual((await a.receiveMessages(3, { maxWaitTimeInMs: 5000 })).map((m) => m.body), ["0", "2", "4"]);
  await a.setSessionState({ step: 1 });
  assert.deepEqual(await a.getSessionState(), { step: 1 });
  await a.renewSessionLock();
  const b = await client.acceptNextSession("js_sessions");
  assert.equal(b.sessionId, "b");
  const seen = [];
  await new Promise((done) => b.subscribe({
    processMessage: async (m) => { seen.push(m.body); if (seen.length === 3) done(); },
    processError: async (e) => { throw e.error; },
  }));
  assert.deepEqual(seen, ["1", "3", "5"]);
  await client.close();
  console.log("all");
})().catch((error) => { console.error(error); process.exit(1); });
"""
