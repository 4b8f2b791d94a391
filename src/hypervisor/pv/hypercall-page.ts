// The hypercall page of a 64-bit PV guest (elfnote.h: HYPERCALL_PAGE): 128 entries of 32 bytes, entry N issues hypercall N.
// SYSCALL destroys RCX and R11, so the stub saves them; iret never returns and gets RAX on the stack instead.

import { __HYPERVISOR_iret } from "../public/xen.js";

const ENTRY = 32;

export function hypercallPage64(): Uint8Array {
  const page = new Uint8Array(4096).fill(0xcc);
  for (let number = 0; number < 4096 / ENTRY; number++) {
    const mov = [0xb8, number, 0, 0, 0]; // mov $number, %eax
    const code =
      number === __HYPERVISOR_iret
        ? [0x51, 0x41, 0x53, 0x50, ...mov, 0x0f, 0x05] // push %rcx; push %r11; push %rax; mov; syscall
        : [0x51, 0x41, 0x53, ...mov, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3]; // push, push; mov; syscall; pop, pop; ret
    page.set(code, number * ENTRY);
  }
  return page;
}
