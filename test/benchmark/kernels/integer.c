/* Integer kernels: loops over arrays, table look-ups, multiplication, division, branches that are hard to foresee, indirect jumps. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static uint64_t sieve(int n) {
  enum { LIMIT = 1 << 20 };
  unsigned char *composite = need(LIMIT);
  uint64_t sum = 0;
  while (n-- > 0) {
    memset(composite, 0, LIMIT);
    for (int i = 2; i < LIMIT; i++) {
      if (composite[i]) continue;
      sum += i;
      for (int j = i + i; j < LIMIT; j += i) composite[j] = 1;
    }
  }
  free(composite);
  return sum;
}

/* Open addressing: half insertions, half look-ups. */
static uint64_t hash(int n) {
  enum { SLOTS = 1 << 14 };
  uint32_t *keys = need(SLOTS * sizeof *keys), random = 1;
  uint64_t found = 0;
  while (n-- > 0) {
    memset(keys, 0, SLOTS * sizeof *keys);
    for (int i = 0; i < SLOTS / 2; i++) {
      uint32_t key = next_random(&random) % 20000 + 1, at = key * 2654435761u >> 18;
      while (keys[at] && keys[at] != key) at = (at + 1) & (SLOTS - 1);
      if (keys[at] == key) found += at;
      keys[at] = key;
    }
  }
  free(keys);
  return found;
}

static uint64_t matrix(int n) {
  enum { N = 120 };
  static uint32_t a[N][N], b[N][N], c[N][N];
  uint32_t random = 7;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) a[i][j] = next_random(&random), b[i][j] = next_random(&random);
  while (n-- > 0) {
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        uint32_t sum = 0;
        for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
        c[i][j] = sum;
      }
    a[n % N][n % N] ^= c[1][2];
  }
  return c[3][5];
}

static uint64_t crc(int n) {
  enum { BYTES = 1 << 16 };
  uint32_t table[256], random = 3, value = ~0u;
  unsigned char *data = need(BYTES);
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    table[i] = c;
  }
  for (int i = 0; i < BYTES; i++) data[i] = next_random(&random);
  while (n-- > 0)
    for (int i = 0; i < BYTES; i++) value = table[(value ^ data[i]) & 255] ^ value >> 8;
  free(data);
  return value;
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static uint64_t sort(int n) {
  enum { N = 20000 };
  uint32_t *v = need(N * sizeof *v), random = 5;
  uint64_t sum = 0;
  while (n-- > 0) {
    for (int i = 0; i < N; i++) v[i] = next_random(&random);
    qsort(v, N, sizeof *v, compare);
    sum = sum * 31 + v[N / 3];
  }
  free(v);
  return sum;
}

/* Records, short strings, calls and switches: what plain application code does. */
struct entry {
  struct entry *next;
  int kind;
  char name[28];
};

static __attribute__((noinline)) int classify(const struct entry *e) {
  switch (e->name[0] & 7) {
    case 0: return e->kind + 1;
    case 1: return e->kind * 3;
    case 3: return e->kind - (int)strlen(e->name);
    case 6: return e->kind ^ 0x55;
    default: return e->kind;
  }
}

static uint64_t records(int n) {
  enum { N = 64 };
  static struct entry list[N];
  uint64_t sum = 0;
  for (int i = 0; i < N; i++) {
    list[i].next = &list[(i * 7 + 1) % N];
    list[i].kind = i;
    strcpy(list[i].name, "NAME OF THE ENTRY NUMBER");
    list[i].name[0] = 'A' + i % 26;
  }
  while (n-- > 0) {
    struct entry *e = list, copy;
    for (int i = 0; i < N; i++, e = e->next) {
      copy = *e;
      strcpy(copy.name + 2, e->next->name + 2);
      if (strcmp(copy.name, e->name) == 0) sum += classify(&copy);
      e->kind = (e->kind + classify(e->next)) & 0xff;
      sum += e->kind;
    }
  }
  return sum;
}

/* An interpreter of a small stack language: a switch in a loop. */
static uint64_t interpreter(int n) {
  enum { PUSH, ADD, MUL, DUP, SWAP, DEC, JNZ, XOR, HALT };
  static const unsigned char program[] = {PUSH, 1, PUSH, 200, SWAP, PUSH, 13, MUL, PUSH, 7, ADD, DUP, PUSH, 3, XOR,
                                          ADD,  SWAP, DEC, DUP, JNZ, 4, ADD, HALT};
  uint32_t stack[16], total = 0;
  while (n-- > 0) {
    uint32_t *top = stack;
    const unsigned char *at = program;
    *top = total;
    for (int running = 1; running;) {
      switch (*at++) {
        case PUSH: *++top = *at++; break;
        case ADD: top--, *top += top[1]; break;
        case MUL: top--, *top *= top[1]; break;
        case XOR: top--, *top ^= top[1]; break;
        case DUP: top++, *top = top[-1]; break;
        case SWAP: {
          uint32_t swap = *top;
          *top = top[-1], top[-1] = swap;
          break;
        }
        case DEC: --*top; break;
        case JNZ: at = *top-- ? program + *at : at + 1; break;
        default: running = 0;
      }
    }
    total += *top;
  }
  return total;
}

/* Powers modulo a prime: 64-bit multiplication and division. */
static uint64_t modpow(int n) {
  uint64_t sum = 1;
  while (n-- > 0) {
    uint64_t base = sum % 2147483629u + 2, result = 1;
    for (uint32_t e = 2147483627u; e; e >>= 1) {
      if (e & 1) result = result * base % 2147483629u;
      base = base * base % 2147483629u;
    }
    sum += result;
  }
  return sum;
}

const struct kernel integer_kernels[] = {
    {"sieve", sieve}, {"hash", hash},       {"matrix", matrix},           {"crc", crc},       {"qsort", sort},
    {"records", records}, {"interpreter", interpreter}, {"modpow", modpow}, {0},
};
