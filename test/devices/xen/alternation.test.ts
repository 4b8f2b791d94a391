// Small packets sent and received in turns are told from everything else.
import { expect, test } from "vitest";
import { Alternation } from "../../../src/devices/xen/netback/alternation.js";

/** One question from the other end, and the guest's answer, found alone. */
function round(alternation: Alternation, question = 98, answer = 98): void {
  alternation.received(question);
  alternation.sent(1, answer);
}

function alternating(): Alternation {
  const alternation = new Alternation();
  for (let i = 0; i < 3; i++) round(alternation);
  return alternation;
}

test("after three rounds the answer to one packet is urgent", () => {
  const alternation = new Alternation();
  const urgent = [];
  for (let i = 0; i < 5; i++) {
    alternation.received(98);
    urgent.push(alternation.isUrgent);
    alternation.sent(1, 98);
    // What the guest sends unasked isn't.
    expect(alternation.isUrgent).toBe(false);
  }
  expect(urgent).toEqual([false, false, false, true, true]);
});

test("two packets at once, none in between, or much data begin anew", () => {
  const breaks: ((alternation: Alternation) => void)[] = [
    (alternation) => {
      alternation.received(98);
      alternation.sent(2, 196);
    },
    (alternation) => {
      alternation.received(98);
      alternation.received(98);
      alternation.sent(1, 98);
    },
    (alternation) => alternation.sent(1, 98),
    (alternation) => round(alternation, 98, 1514),
    (alternation) => round(alternation, 1514, 98),
  ];
  for (const breaking of breaks) {
    const alternation = alternating();
    breaking(alternation);
    for (let i = 0; i < 2; i++) round(alternation);
    alternation.received(98);
    expect(alternation.isUrgent, String(breaking)).toBe(false);
  }
});

test("an event behind which nothing is found changes nothing", () => {
  const alternation = alternating();
  alternation.received(98);
  alternation.sent(0, 0);
  expect(alternation.isUrgent).toBe(true);
});
