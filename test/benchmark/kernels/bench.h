/* What the kernels share: a generator of numbers that is the same everywhere, and the table of kernels. A kernel does `n` rounds of
   its work and returns a checksum, which every machine must print alike. */
#include <stddef.h>
#include <stdint.h>

typedef uint64_t kernel_fn(int n);

struct kernel {
  const char *name;
  kernel_fn *run;
};

extern const struct kernel integer_kernels[], memory_kernels[], float_kernels[], system_kernels[], soak_kernels[];

void *need(size_t bytes);

static inline uint32_t next_random(uint32_t *state) {
  uint32_t x = *state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return *state = x;
}
