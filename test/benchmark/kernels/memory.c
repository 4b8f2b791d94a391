/* Memory kernels: copies, a chain of dependent loads, streams, scattered updates. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define MIB (1 << 20)

/* Copies of 8 to 512 bytes at all alignments. */
static uint64_t copy_small(int n) {
  enum { BYTES = 64 << 10 };
  unsigned char *from = need(BYTES + 1024), *to = need(BYTES + 1024);
  uint32_t random = 11;
  for (int i = 0; i < BYTES + 1024; i++) from[i] = i * 7, to[i] = 0;
  while (n-- > 0)
    for (int i = 0; i < 1000; i++) {
      uint32_t r = next_random(&random);
      memcpy(to + (r & (BYTES - 1)), from + (r >> 8 & (BYTES - 1)), 8 + (r >> 20 & 511));
    }
  uint64_t sum = 0;
  for (int i = 0; i < BYTES; i++) sum = sum * 31 + to[i];
  free(from);
  free(to);
  return sum;
}

static uint64_t copy_large(int n) {
  enum { BYTES = 8 * MIB };
  unsigned char *a = need(BYTES), *b = need(BYTES);
  memset(a, 1, BYTES);
  memset(b, 2, BYTES);
  for (int i = 0; i < n; i++) {
    memcpy(b, a, BYTES);
    a[i * 4099 % BYTES] = i;
    memmove(a + 64, b, BYTES - 64);
  }
  uint64_t sum = 0;
  for (int i = 0; i < BYTES; i += 61) sum = sum * 31 + a[i];
  free(a);
  free(b);
  return sum;
}

/* One cycle through 4 MiB in random order. */
static uint64_t chase(int n) {
  enum { N = MIB };
  uint32_t *next = need(N * sizeof *next), random = 9, at = 0;
  for (uint32_t i = 0; i < N; i++) next[i] = i;
  for (uint32_t i = N - 1; i > 0; i--) {
    uint32_t j = next_random(&random) % i, swap = next[i];
    next[i] = next[j], next[j] = swap;
  }
  while (n-- > 0)
    for (int i = 0; i < 10000; i++) at = next[at];
  free(next);
  return at;
}

static uint64_t triad(int n) {
  enum { N = 256 << 10 };
  double *a = need(N * sizeof *a), *b = need(N * sizeof *b), *c = need(N * sizeof *c), sum = 0;
  for (int i = 0; i < N; i++) a[i] = 0, b[i] = i, c[i] = N - i;
  for (int k = 1; k <= n; k++) {
    for (int i = 0; i < N; i++) a[i] = b[i] + k * c[i];
    double *swap = b;
    b = a, a = swap;
    for (int i = 0; i < N; i += 1024) b[i] = i;
  }
  for (int i = 0; i < 1024; i++) sum += b[i] / n;
  free(a);
  free(b);
  free(c);
  return (uint64_t)(sum / 1e3);
}

/* Read, change, write at random places of 8 MiB. */
static uint64_t scatter(int n) {
  enum { N = 2 * MIB };
  uint32_t *v = need(N * sizeof *v), random = 13;
  memset(v, 0, N * sizeof *v);
  while (n-- > 0)
    for (int i = 0; i < 10000; i++) {
      uint32_t r = next_random(&random);
      v[r & (N - 1)] += r;
    }
  uint64_t sum = 0;
  for (int i = 0; i < N; i += 3) sum = sum * 31 + v[i];
  free(v);
  return sum;
}

/* Allocation of small blocks, writes to them, release in another order. */
static uint64_t allocate(int n) {
  enum { N = 1000 };
  static uint32_t *blocks[N];
  uint32_t random = 17;
  uint64_t sum = 0;
  while (n-- > 0) {
    for (int i = 0; i < N; i++) {
      uint32_t words = (next_random(&random) & 63) + 2;
      blocks[i] = need(words * sizeof **blocks);
      for (uint32_t k = 0; k < words; k++) blocks[i][k] = words + k;
    }
    for (int i = 0; i < N; i++) {
      uint32_t *block = blocks[i * 7 % N];
      sum += block[1];
      free(block);
    }
  }
  return sum;
}

const struct kernel memory_kernels[] = {
    {"copy-small", copy_small}, {"copy-large", copy_large}, {"chase", chase}, {"triad", triad},
    {"scatter", scatter},       {"allocate", allocate},     {0},
};
