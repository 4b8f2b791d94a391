// Runs single x87 and SSE instructions on the real processor for float-native.test.ts.
// stdin: 48-byte records {u16 op; u16 pad; u32 control; u64 imm; u8 a[16]; u8 b[16]}; control is the x87 control word or
// MXCSR. stdout: 48-byte records {u8 r1[16]; u8 r2[16]; u32 status; u32 extra; u64 pad}; status is the x87 status word or
// MXCSR after the instruction. Operation numbers are those of test/cpu/float/operations.ts.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

struct in { uint16_t op, pad; uint32_t control; uint64_t imm; uint8_t a[16], b[16]; };
struct out { uint8_t r1[16], r2[16]; uint32_t status, extra; uint64_t pad; };

static volatile uint32_t trapped;

// An unmasked SSE exception: note MXCSR with its flags, then mask everything and run the instruction again.
static void on_fpe(int sig, siginfo_t *info, void *context) {
  ucontext_t *u = context;
  (void)sig; (void)info;
  trapped = u->uc_mcontext.fpregs->mxcsr | 0x80000000u;
  u->uc_mcontext.fpregs->mxcsr |= 0x1f80;
}

#define X87(number, insn) case number: \
  __asm__ volatile("fninit\n\tfldt %[b]\n\tfldt %[a]\n\tfldcw %[cw]\n\t" insn "\n\tfnstsw %[sw]\n\tfnclex\n\t" \
    "fldcw %[plain]\n\tfstpt %[r1]\n\tfstpt %[r2]\n\tfninit" \
    : [r1] "=m"(o->r1), [r2] "=m"(o->r2), [sw] "=m"(sw), [m] "+m"(memory) \
    : [a] "m"(i->a), [b] "m"(i->b), [cw] "m"(cw), [plain] "m"(plain) : "memory"); \
  o->status = sw; break;
// Operand b in memory; result in ST(0).
#define X87M(number, insn) case number: memcpy(memory, i->b, 16); X87(number + 1000, insn)
// Result in memory.
#define X87S(number, insn) case number: memset(memory, 0xaa, 16); \
  __asm__ volatile("fninit\n\tfldt %[a]\n\tfldcw %[cw]\n\t" insn "\n\tfnstsw %[sw]\n\tfnclex\n\tfninit" \
    : [sw] "=m"(sw), [m] "+m"(memory) : [a] "m"(i->a), [cw] "m"(cw) : "memory"); \
  memcpy(o->r1, (const void *)memory, 16); o->status = sw; break;

#define SSE(number, insn) case number: \
  __asm__ volatile("ldmxcsr %[control]\n\tmovups %[a], %%xmm0\n\tmovups %[b], %%xmm1\n\tmov %[gpr], %%rax\n\t" \
    insn "\n\tstmxcsr %[mx]\n\tldmxcsr %[normal]\n\tmovups %%xmm0, %[r1]\n\tmov %%rax, %[rax]" \
    : [mx] "=m"(mx), [r1] "=m"(o->r1), [rax] "=m"(rax) \
    : [control] "m"(control), [a] "m"(i->a), [b] "m"(i->b), [gpr] "m"(i->a), [normal] "m"(normal) \
    : "xmm0", "xmm1", "rax", "rcx", "rdx", "cc", "memory"); \
  o->status = trapped ? trapped & 0x7fffffff : mx; o->extra = (uint32_t)rax; memcpy(o->r2, &rax, 8); break;
#define FLAGS "\n\tsetb %%al\n\tsetz %%cl\n\tsetp %%dl\n\tshl $1, %%cl\n\tshl $2, %%dl\n\tor %%cl, %%al\n\tor %%dl, %%al"

static void run(const struct in *i, struct out *o) {
  volatile uint16_t sw = 0;
  uint16_t cw = (uint16_t)i->control, plain = 0x037f;
  uint32_t control = i->control, normal = 0x1f80, mx = 0;
  uint64_t rax = 0;
  volatile uint8_t memory[16];
  trapped = 0;
  memset(o, 0, sizeof *o);
  memset((void *)memory, 0, 16);
  switch (i->op) {
#define memcpy(d, s, n) __builtin_memcpy((void *)(d), s, n)
#define memset(d, v, n) __builtin_memset((void *)(d), v, n)
    X87(1, "fadd %%st(1), %%st") X87(2, "fsub %%st(1), %%st") X87(3, "fmul %%st(1), %%st") X87(4, "fdiv %%st(1), %%st")
    X87(5, "fsqrt") X87(6, "fprem") X87(7, "fprem1") X87(8, "fscale") X87(9, "fxtract") X87(10, "frndint")
    X87(11, "fcom") X87(12, "fucom") X87(13, "fxam") X87(14, "fchs") X87(15, "fabs")
    X87M(20, "fadds %[m]") X87M(21, "fsubs %[m]") X87M(22, "fsubrs %[m]") X87M(23, "fmuls %[m]")
    X87M(24, "fdivs %[m]") X87M(25, "fdivrs %[m]") X87M(26, "fcoms %[m]") X87M(27, "flds %[m]")
    X87M(30, "faddl %[m]") X87M(31, "fsubl %[m]") X87M(32, "fsubrl %[m]") X87M(33, "fmull %[m]")
    X87M(34, "fdivl %[m]") X87M(35, "fdivrl %[m]") X87M(36, "fcoml %[m]") X87M(37, "fldl %[m]")
    X87M(38, "fildll %[m]") X87M(39, "fbld %[m]") X87M(40, "fiaddl %[m]") X87M(41, "fidivrs %[m]")
    X87S(50, "fsts %[m]") X87S(51, "fstl %[m]") X87S(52, "fistps %[m]") X87S(53, "fistpl %[m]")
    X87S(54, "fistpll %[m]") X87S(55, "fisttps %[m]") X87S(56, "fisttpl %[m]") X87S(57, "fisttpll %[m]")
    X87S(58, "fbstp %[m]")
    X87(60, "fld1") X87(61, "fldl2t") X87(62, "fldl2e") X87(63, "fldpi") X87(64, "fldlg2") X87(65, "fldln2")
    X87(66, "fldz")
    X87(70, "f2xm1") X87(71, "fyl2x") X87(72, "fyl2xp1") X87(73, "fptan") X87(74, "fpatan") X87(75, "fsin")
    X87(76, "fcos") X87(77, "fsincos")
    SSE(100, "addss %%xmm1, %%xmm0") SSE(101, "subss %%xmm1, %%xmm0") SSE(102, "mulss %%xmm1, %%xmm0")
    SSE(103, "divss %%xmm1, %%xmm0") SSE(104, "sqrtss %%xmm0, %%xmm0") SSE(105, "minss %%xmm1, %%xmm0")
    SSE(106, "maxss %%xmm1, %%xmm0") SSE(107, "cvtss2sd %%xmm0, %%xmm0") SSE(108, "cvtss2si %%xmm0, %%rax")
    SSE(109, "cvtss2si %%xmm0, %%eax") SSE(110, "cvttss2si %%xmm0, %%rax") SSE(111, "cvttss2si %%xmm0, %%eax")
    SSE(112, "cvtsi2ssq %%rax, %%xmm0") SSE(113, "comiss %%xmm1, %%xmm0" FLAGS)
    SSE(114, "ucomiss %%xmm1, %%xmm0" FLAGS)
    SSE(120, "addsd %%xmm1, %%xmm0") SSE(121, "subsd %%xmm1, %%xmm0") SSE(122, "mulsd %%xmm1, %%xmm0")
    SSE(123, "divsd %%xmm1, %%xmm0") SSE(124, "sqrtsd %%xmm0, %%xmm0") SSE(125, "minsd %%xmm1, %%xmm0")
    SSE(126, "maxsd %%xmm1, %%xmm0") SSE(127, "cvtsd2ss %%xmm0, %%xmm0") SSE(128, "cvtsd2si %%xmm0, %%rax")
    SSE(129, "cvtsd2si %%xmm0, %%eax") SSE(130, "cvttsd2si %%xmm0, %%rax") SSE(131, "cvttsd2si %%xmm0, %%eax")
    SSE(132, "cvtsi2sdq %%rax, %%xmm0") SSE(133, "comisd %%xmm1, %%xmm0" FLAGS)
    SSE(134, "ucomisd %%xmm1, %%xmm0" FLAGS)
#define CMP(p) SSE(140 + p, "cmpss $" #p ", %%xmm1, %%xmm0") SSE(150 + p, "cmpsd $" #p ", %%xmm1, %%xmm0")
    CMP(0) CMP(1) CMP(2) CMP(3) CMP(4) CMP(5) CMP(6) CMP(7)
#define RND(p) SSE(160 + p, "roundss $" #p ", %%xmm0, %%xmm0") SSE(180 + p, "roundsd $" #p ", %%xmm0, %%xmm0")
    RND(0) RND(1) RND(2) RND(3) RND(4) RND(8) RND(9) RND(10) RND(11) RND(12)
    SSE(200, "addps %%xmm1, %%xmm0") SSE(201, "divps %%xmm1, %%xmm0") SSE(202, "divpd %%xmm1, %%xmm0")
    SSE(203, "mulps %%xmm1, %%xmm0") SSE(204, "minps %%xmm1, %%xmm0")
  default: fprintf(stderr, "unknown operation %u\n", i->op); exit(1);
  }
}

int main(void) {
  struct sigaction action = { .sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO };
  sigaction(SIGFPE, &action, 0);
  static struct in in;
  static struct out out;
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    run(&in, &out);
    fwrite(&out, sizeof out, 1, stdout);
  }
  return 0;
}
