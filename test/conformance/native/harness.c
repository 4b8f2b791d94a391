/*
 * Executes single instructions on the real processor from a given register state and reports the state afterwards.
 * Linux, x86-64. Reads a batch (layout: ../layout.ts) from stdin, writes one result record per case to stdout.
 *
 * A case is entered by returning from a signal: the handler rewrites its own ucontext (all registers, CS, the FXSAVE
 * image) and rt_sigreturn loads it. The code region is filled with INT3, so whatever happens next is a signal again:
 * the trap after the instruction, or its fault. One signal a case, on an alternate stack, so any RSP is possible.
 * The handler uses no thread-local storage: FS belongs to the case while it runs.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum {
  RECORD = 1024, RESULT = 2048, MAGIC = 0x56454358,
  ERROR = 4, RIP = 8, FAULT_ADDRESS = 16, SELECTORS = 24, FS_BASE = 40, GS_BASE = 48, RFLAGS = 56, GPR = 64,
  CODE = 192, PATCH_COUNT = 208, PATCHES = 216, PATCH_SIZE = 72, FXSAVE = 512, FXSAVE_USED = 416, RUNS = 1024,
  CODE_BASE = 0x20000000, CODE_SIZE = 0x3000,
  DATA = 0x30000000, DATA_SIZE = 0x2000, READ_ONLY = 0x30003000, READ_ONLY_SIZE = 0x1000,
  STACK = 0x30005000, STACK_SIZE = 0x1000,
};

static uint8_t *cases, *results, *code_alias, *read_only_alias;
static uint32_t count;
static int64_t current = -1;
static uint8_t background[DATA_SIZE + READ_ONLY_SIZE + STACK_SIZE];
static uint8_t shadow[DATA_SIZE + STACK_SIZE]; /* what memory should hold if the instruction writes nothing */
static uint64_t own_fs_base;

static void fail(const char *what) {
  perror(what);
  exit(3);
}

static inline uint64_t load64(const uint8_t *p) { return *(const uint64_t *)p; }
static inline uint32_t load32(const uint8_t *p) { return *(const uint32_t *)p; }

static inline void copy(uint8_t *to, const uint8_t *from, uint32_t n) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
}

/* The writable alias of a guest address, or null; sets *expected to the shadow byte where there is one. */
static uint8_t *writable(uint32_t address, uint8_t **expected) {
  *expected = 0;
  if (address - DATA < DATA_SIZE) {
    *expected = shadow + (address - DATA);
    return (uint8_t *)(uintptr_t)address;
  }
  if (address - STACK < STACK_SIZE) {
    *expected = shadow + DATA_SIZE + (address - STACK);
    return (uint8_t *)(uintptr_t)address;
  }
  if (address - READ_ONLY < READ_ONLY_SIZE) return read_only_alias + (address - READ_ONLY);
  return 0;
}

static const uint8_t *background_of(uint32_t address) {
  if (address - DATA < DATA_SIZE) return background + (address - DATA);
  if (address - READ_ONLY < READ_ONLY_SIZE) return background + DATA_SIZE + (address - READ_ONLY);
  return background + DATA_SIZE + READ_ONLY_SIZE + (address - STACK);
}

static void patch(const uint8_t *record, int undo) {
  uint32_t patches = load32(record + PATCH_COUNT);
  for (uint32_t i = 0; i < patches; i++) {
    const uint8_t *p = record + PATCHES + i * PATCH_SIZE;
    uint32_t address = load32(p), length = load32(p + 4);
    for (uint32_t k = 0; k < length; k++) {
      uint8_t *expected, *at = writable(address + k, &expected);
      if (!at) continue;
      uint8_t value = undo ? *background_of(address + k) : p[8 + k];
      *at = value;
      if (expected) *expected = value;
    }
  }
}

static uint8_t *report_changes(uint8_t *out, uint32_t *runs, const uint8_t *limit, uint32_t base, uint8_t *expected,
                               uint32_t size) {
  uint8_t *memory = (uint8_t *)(uintptr_t)base;
  for (uint32_t i = 0; i < size; i += 8) {
    if (load64(memory + i) == load64(expected + i)) continue;
    uint32_t start = i;
    while (memory[start] == expected[start]) start++;
    uint32_t end = start;
    while (end < size && memory[end] != expected[end]) end++;
    uint32_t length = end - start;
    if (out + 8 + length + 4 > limit) length = limit - out > 16 ? (uint32_t)(limit - out - 16) : 0;
    if (length) {
      ((uint32_t *)out)[0] = base + start;
      ((uint32_t *)out)[1] = length;
      copy(out + 8, memory + start, length);
      out += 8 + ((length + 3) & ~3u);
      ++*runs;
    }
    copy(memory + start, expected + start, end - start);
    i = (end & ~7u) - 8; /* the rest of the word may hold another run */
  }
  return out;
}

static inline uint16_t get_ds(void) { uint16_t v; __asm__ volatile("mov %%ds, %0" : "=r"(v)); return v; }
static inline uint16_t get_es(void) { uint16_t v; __asm__ volatile("mov %%es, %0" : "=r"(v)); return v; }
static inline uint16_t get_fs(void) { uint16_t v; __asm__ volatile("mov %%fs, %0" : "=r"(v)); return v; }
static inline uint16_t get_gs(void) { uint16_t v; __asm__ volatile("mov %%gs, %0" : "=r"(v)); return v; }
static inline uint64_t get_fs_base(void) { uint64_t v; __asm__ volatile("rdfsbase %0" : "=r"(v)); return v; }
static inline uint64_t get_gs_base(void) { uint64_t v; __asm__ volatile("rdgsbase %0" : "=r"(v)); return v; }
static inline void set_fs_base(uint64_t v) { __asm__ volatile("wrfsbase %0" ::"r"(v)); }
static inline void set_gs_base(uint64_t v) { __asm__ volatile("wrgsbase %0" ::"r"(v)); }

static const int gpr_index[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void capture(ucontext_t *context) {
  const uint8_t *record = cases + current * RECORD;
  uint8_t *result = results + current * RESULT;
  greg_t *g = context->uc_mcontext.gregs;
  result[0] = record[0];
  result[1] = (uint8_t)g[REG_TRAPNO];
  *(uint32_t *)(result + ERROR) = (uint32_t)g[REG_ERR];
  *(uint64_t *)(result + RIP) = g[REG_RIP];
  *(uint64_t *)(result + FAULT_ADDRESS) = g[REG_TRAPNO] == 14 ? g[REG_CR2] : 0;
  uint16_t *selectors = (uint16_t *)(result + SELECTORS);
  selectors[0] = get_es();
  selectors[1] = g[REG_CSGSFS] & 0xffff;
  selectors[2] = (uint64_t)g[REG_CSGSFS] >> 48;
  selectors[3] = get_ds();
  selectors[4] = get_fs();
  selectors[5] = get_gs();
  *(uint64_t *)(result + FS_BASE) = get_fs_base();
  *(uint64_t *)(result + GS_BASE) = get_gs_base();
  *(uint64_t *)(result + RFLAGS) = g[REG_EFL];
  for (int i = 0; i < 16; i++) *(uint64_t *)(result + GPR + 8 * i) = g[gpr_index[i]];
  copy(result + FXSAVE, (uint8_t *)context->uc_mcontext.fpregs, FXSAVE_USED);
  uint32_t runs = 0;
  uint8_t *out = result + RUNS + 4;
  out = report_changes(out, &runs, result + RESULT, DATA, shadow, DATA_SIZE);
  report_changes(out, &runs, result + RESULT, STACK, shadow + DATA_SIZE, STACK_SIZE);
  *(uint32_t *)(result + RUNS) = runs;
  patch(record, 1);
  for (int i = 0; i < 16; i++) code_alias[(load64(record + RIP) - CODE_BASE + i) % CODE_SIZE] = 0xcc;
}

static void enter(ucontext_t *context) {
  const uint8_t *record = cases + current * RECORD;
  greg_t *g = context->uc_mcontext.gregs;
  uint64_t rip = load64(record + RIP);
  for (int i = 0; i < record[1]; i++)
    if (rip + i - CODE_BASE < CODE_SIZE) code_alias[rip + i - CODE_BASE] = record[CODE + i];
  patch(record, 0);
  for (int i = 0; i < 16; i++) g[gpr_index[i]] = load64(record + GPR + 8 * i);
  g[REG_RIP] = rip;
  g[REG_EFL] = load64(record + RFLAGS);
  g[REG_CSGSFS] = (record[0] == 64 ? 0x33 : 0x23) | 0x2bULL << 48;
  context->uc_flags |= 4; /* UC_STRICT_RESTORE_SS */
  uint8_t *image = (uint8_t *)context->uc_mcontext.fpregs;
  copy(image, record + FXSAVE, 28); /* up to MXCSR; the mask after it is the processor's */
  copy(image + 32, record + FXSAVE + 32, FXSAVE_USED - 32);
  *(uint64_t *)(image + 512) |= 3; /* XSTATE_BV: x87 and SSE come from the image */
  __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %1, %%fs\n\tmov %1, %%gs" ::"r"(0x2b), "r"(0));
  set_fs_base(load64(record + FS_BASE));
  set_gs_base(load64(record + GS_BASE));
}

static void write_all(const uint8_t *p, uint64_t n) {
  while (n) {
    ssize_t done = write(1, p, n);
    if (done <= 0) _exit(4);
    p += done;
    n -= done;
  }
}

static void handler(int signal, siginfo_t *info, void *argument) {
  (void)signal, (void)info;
  /* AC, NT and ID stay as the case left them; clear them so that our own code runs normally. */
  __asm__ volatile("pushfq\n\tandq $~0x244000, (%%rsp)\n\tpopfq" ::: "memory", "cc");
  ucontext_t *context = argument;
  if (current >= 0) capture(context);
  if (++current == count) {
    __asm__ volatile("mov %0, %%fs\n\tmov %0, %%gs" ::"r"(0));
    set_fs_base(own_fs_base);
    write_all(results, (uint64_t)count * RESULT);
    _exit(0);
  }
  enter(context);
}

static void read_all(uint8_t *p, uint64_t n) {
  while (n) {
    ssize_t got = read(0, p, n);
    if (got <= 0) fail("short input");
    p += got;
    n -= got;
  }
}

static void *map(uintptr_t address, size_t size, int protection, int flags, int file) {
  void *p = mmap((void *)address, size, protection, flags | MAP_POPULATE | (address ? MAP_FIXED_NOREPLACE : 0), file, 0);
  if (p == MAP_FAILED || (address && (uintptr_t)p != address)) fail("mmap");
  return p;
}

/* A region that the case sees with the given protection, and a second, writable view of it. */
static uint8_t *map_twice(uintptr_t address, size_t size, int protection) {
  int file = memfd_create("region", 0);
  if (file < 0 || ftruncate(file, size)) fail("memfd");
  map(address, size, protection, MAP_SHARED, file);
  return map(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, file);
}

int main(void) {
  if (!(getauxval(AT_HWCAP2) & 2)) { fprintf(stderr, "no FSGSBASE\n"); return 5; }
  uint32_t header[2];
  read_all((uint8_t *)header, sizeof header);
  if (header[0] != MAGIC) { fprintf(stderr, "bad magic\n"); return 3; }
  count = header[1];
  read_all(background, sizeof background);
  cases = map(0, (uint64_t)count * RECORD + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  results = map(0, (uint64_t)count * RESULT + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  read_all(cases, (uint64_t)count * RECORD);

  code_alias = map_twice(CODE_BASE, CODE_SIZE, PROT_READ | PROT_EXEC);
  read_only_alias = map_twice(READ_ONLY, READ_ONLY_SIZE, PROT_READ);
  map(DATA, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  map(STACK, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  memset(code_alias, 0xcc, CODE_SIZE);
  memcpy((void *)DATA, background, DATA_SIZE);
  memcpy(read_only_alias, background + DATA_SIZE, READ_ONLY_SIZE);
  memcpy((void *)STACK, background + DATA_SIZE + READ_ONLY_SIZE, STACK_SIZE);
  memcpy(shadow, background, DATA_SIZE);
  memcpy(shadow + DATA_SIZE, background + DATA_SIZE + READ_ONLY_SIZE, STACK_SIZE);

  own_fs_base = get_fs_base();
  size_t stack_size = 1 << 17;
  stack_t stack = {.ss_sp = map(0, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1), .ss_size = stack_size};
  if (sigaltstack(&stack, 0)) fail("sigaltstack");
  struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  action.sa_sigaction = handler;
  int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
    if (sigaction(signals[i], &action, 0)) fail("sigaction");
  alarm(120);
  __asm__ volatile("int3");
  return 6;
}
