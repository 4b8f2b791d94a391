// The deterministic data that the fixtures hold: text, code with calls (for the x86 filter), zeros, noise.

export function sample(): Uint8Array {
  let seed = 12345;
  // A 16-bit linear congruential generator.
  const random = () => (seed = (seed * 25173 + 13849) % 65536) >> 4;
  const words: string[] = "event channel grant table hypercall page frame domain virtual machine trap time".split(" ");
  const bytes: number[] = [];
  while (bytes.length < 3000) {
    for (const c of words[random() % words.length]!) bytes.push(c.charCodeAt(0));
    bytes.push(32);
  }
  // Calls to a few functions: relative operands that turn equal under the filter.
  for (let i = 0; i < 200; i++) {
    const operand = (0x9000 + (random() % 4) * 0x100 - bytes.length) | 0;
    bytes.push(i % 5 === 0 ? 0xe9 : 0xe8, operand & 255, (operand >> 8) & 255, (operand >> 16) & 255, operand >>> 24);
    for (let k = random() % 4; k > 0; k--) bytes.push(i % 7 === 0 ? 0xe8 : 0x90);
  }
  for (let i = 0; i < 3000; i++) bytes.push(0);
  for (let i = 0; i < 300; i++) bytes.push(random() & 255);
  return Uint8Array.from(bytes);
}
