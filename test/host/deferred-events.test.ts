// Backends' work is done once after a turn, however many events asked for it, and in their order; or at once, as long as one request
// comes at a time.
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

test("work that found one request is done within the next event, and put off again now and then to see whether more would come", () => {
  const deferred = new DeferredEvents();
  let found = 1;
  let runs = 0;
  const event = deferred.deferBursts(() => {
    runs++;
    return found;
  });
  /** How many events in a row are seen to at once. */
  const atOnce = () => {
    for (let count = 0; ; count++) {
      const before = runs;
      event();
      if (runs === before) return count;
    }
  };
  const granted: number[] = [];
  for (let i = 0; i < 7; i++) {
    granted.push(atOnce());
    deferred.flush();
  }
  expect(granted).toEqual([0, 1, 3, 7, 15, 31, 31]);
  expect(atOnce()).toBe(31);
  found = 2;
  deferred.flush();
  expect(atOnce()).toBe(0);
  found = 0;
  deferred.flush();
  expect(atOnce()).toBe(0);
  found = 1;
  deferred.flush();
  expect(atOnce()).toBe(1);
});

test("urgent work is done within its event, and the guest gives way then and only then", () => {
  const done: string[] = [];
  const deferred = new DeferredEvents(() => done.push("gives way"));
  let isUrgent = false;
  const event = deferred.deferUnless(
    () => isUrgent,
    () => done.push("works"),
  );
  event();
  expect(done).toEqual([]);
  isUrgent = true;
  event();
  expect(done.splice(0)).toEqual(["works", "gives way"]);
  deferred.flush();
  expect(done).toEqual(["works"]);
});
