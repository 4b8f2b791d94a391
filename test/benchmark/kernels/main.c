/* kernels NAME ROUNDS: runs one kernel and prints its checksum. Without arguments: the names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const struct kernel *const groups[] = {integer_kernels, memory_kernels, float_kernels, system_kernels, soak_kernels};

void *need(size_t bytes) {
  void *p = malloc(bytes);
  if (!p) {
    fputs("kernels: out of memory\n", stderr);
    exit(1);
  }
  return p;
}

int main(int argc, char **argv) {
  for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
    for (const struct kernel *k = groups[g]; k->name; k++) {
      if (argc < 3) puts(k->name);
      else if (!strcmp(k->name, argv[1])) {
        printf("%016llx\n", (unsigned long long)k->run(atoi(argv[2])));
        return 0;
      }
    }
  }
  return argc < 3 ? 0 : 2;
}
