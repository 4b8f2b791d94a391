// The backend of a second console against a frontend written here: the handshake, bytes both ways, rings and numbers of a hostile guest.
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { ConsoleBackend } from "../../../src/devices/xen/console-backend.js";
import { DomainConsole } from "../../../src/hypervisor/domain-console.js";
import { XENCONS } from "../../../src/hypervisor/public/io/console.js";
import * as X from "../../../src/hypervisor/public/io/xenbus.js";
import { TestGuest } from "./test-guest.js";

const BACK = "/local/domain/0/backend/console/1/1";
const FRONT = "/local/domain/1/device/console/1";

let guest: TestGuest;
let line: DomainConsole;
let output: string;
let log: string[];
let backend: ConsoleBackend;

beforeEach(() => {
  guest = new TestGuest();
  output = "";
  log = [];
  const onOutput = (bytes: Uint8Array) => void (output += Buffer.from(bytes).toString("latin1"));
  line = new DomainConsole({ onOutput, onInputWaiting: () => {} });
  guest.store.write(`${FRONT}/state`, String(X.XenbusStateInitialising));
  const paths = { backendPath: BACK, frontendPath: FRONT };
  backend = new ConsoleBackend({ services: guest.services, line, ...paths, log: (text) => log.push(text) });
  backend.device.start();
});

const state = async (wanted: number) => expect.poll(() => backend.device.state).toBe(wanted);
const tell = (name: string, value: number | string) => guest.store.write(`${FRONT}/${name}`, String(value));

async function connect() {
  const { ref, page } = guest.grant();
  const port = guest.allocatePort();
  tell("ring-ref", ref);
  tell("port", port);
  tell("state", X.XenbusStateInitialised);
  await state(X.XenbusStateConnected);
  const view = new DataView(page.buffer, page.byteOffset);
  return { port, page, view };
}

test("bytes go both ways, what was typed before it came up too", async () => {
  await state(X.XenbusStateInitWait);
  line.write(Buffer.from("early "));
  const { port, page, view } = await connect();
  line.write(Buffer.from("late"));
  expect(Buffer.from(page.subarray(0, 10)).toString()).toBe("early late");
  expect(view.getUint32(XENCONS.in_prod, true)).toBe(10);
  page.set(Buffer.from("hello"), XENCONS.out);
  view.setUint32(XENCONS.out_prod, 5, true);
  guest.kick(port);
  expect([output, view.getUint32(XENCONS.out_cons, true)]).toEqual(["hello", 5]);
});

test("a frontend that closes gives its page back, and may come again", async () => {
  const { page, view } = await connect();
  page.set(Buffer.from("bye"), XENCONS.out);
  view.setUint32(XENCONS.out_prod, 3, true);
  tell("state", X.XenbusStateClosed);
  await state(X.XenbusStateClosed);
  expect([output, guest.mappings]).toEqual(["bye", 0]);
  line.write(Buffer.from("kept"));
  tell("state", X.XenbusStateInitialising);
  await state(X.XenbusStateInitWait);
  const again = await connect();
  expect(Buffer.from(again.page.subarray(0, 4)).toString()).toBe("kept");
  await backend.device.stop();
  expect(guest.mappings).toBe(0);
});

test.each([
  [{ "ring-ref": 4_000_000_000 }, "can't be mapped"],
  [{ "ring-ref": "x" }, "isn't a number"],
  [{ port: 9999 }, "can't be bound"],
  [{ port: -1 }, "isn't a number"],
])("%j closes the device, and nothing stays mapped", async (wrong, message) => {
  tell("ring-ref", guest.grant().ref);
  tell("port", guest.allocatePort());
  for (const [name, value] of Object.entries(wrong)) tell(name, value);
  tell("state", X.XenbusStateInitialised);
  await state(X.XenbusStateClosing);
  expect(log.join()).toContain(message);
  expect(guest.mappings).toBe(0);
});

test("whatever indices a guest writes: no more than a ring's bytes come out, and none of them twice", async () => {
  const { port, view } = await connect();
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...Object.values(XENCONS).slice(-4)), fc.nat(2 ** 32 - 1))),
      (all) => {
        for (const [at, value] of all) {
          view.setUint32(at, value, true);
          output = "";
          line.write(Buffer.from("x"));
          guest.kick(port);
          expect(output.length).toBeLessThanOrEqual(XENCONS.outSize);
          output = "";
          guest.kick(port);
          expect(output).toBe("");
        }
      },
    ),
  );
});
