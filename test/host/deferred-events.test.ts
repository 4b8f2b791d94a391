// Backends' work is done once after a turn, however many events asked for it, and in their order.
import { expect, test } from "vitest";
import { DeferredEvents } from "../../src/host/deferred-events.js";

test("events of one turn lead to one run each, in order; what they lead to is for the next turn", () => {
  const deferred = new DeferredEvents();
  const done: string[] = [];
  const second = deferred.defer(() => done.push("second"));
  const first = deferred.defer(() => {
    done.push("first");
    second();
    first();
  });
  first();
  second();
  first();
  expect(done).toEqual([]);
  deferred.flush();
  expect(done.splice(0)).toEqual(["first", "second"]);
  deferred.flush();
  expect(done.splice(0)).toEqual(["first"]);
  deferred.flush();
  expect(done).toEqual(["second", "first"]);
});
