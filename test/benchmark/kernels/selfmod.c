/* A program that writes code and runs it, over and over at the same place, as language run-times do. Not part of the table: for the soak. */
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

typedef uint32_t function(void);

/* A function that adds `step` to `start` `times` times; alike in 32-bit and 64-bit mode. */
static function *generate(unsigned char *at, uint32_t start, uint32_t times, uint32_t step) {
  static const unsigned char code[] = {
      0xb8, 0, 0, 0, 0, /* mov $start, %eax */
      0xb9, 0, 0, 0, 0, /* mov $times, %ecx */
      0x05, 0, 0, 0, 0, /* add $step, %eax */
      0xff, 0xc9,       /* dec %ecx */
      0x75, 0xf7,       /* jnz the add */
      0xc3,
  };
  memcpy(at, code, sizeof code);
  memcpy(at + 1, &start, 4);
  memcpy(at + 6, &times, 4);
  memcpy(at + 11, &step, 4);
  return (function *)at;
}

static uint64_t selfmod(int n) {
  enum { BYTES = 1 << 16 };
  unsigned char *area = mmap(0, BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) return 0;
  uint32_t random = 29;
  uint64_t sum = 0;
  for (int i = 0; i < n; i++) {
    uint32_t at = next_random(&random) % (BYTES - 64), times = next_random(&random) % 2000 + 1;
    sum = sum * 31 + generate(area + at, sum, times, i)();
    /* Changed in place, while it is warm. */
    for (uint32_t k = 0; k < 4; k++) {
      memcpy(area + at + 11, &k, 4);
      sum += ((function *)(area + at))();
    }
  }
  munmap(area, BYTES);
  return sum;
}

const struct kernel soak_kernels[] = {{"selfmod", selfmod}, {0}};
