/* Kernels that ask much of the operating system: system calls, processes, pipes, page faults, signals. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static void check(int ok) {
  if (!ok) abort();
}

static uint64_t getppids(int n) {
  for (int i = 0; i < n; i++) syscall(SYS_getppid);
  return n;
}

/* One byte to and fro between two processes. */
static uint64_t pingpong(int n) {
  int there[2], back[2];
  char byte = 0;
  check(pipe(there) == 0 && pipe(back) == 0);
  pid_t child = fork();
  check(child >= 0);
  if (child == 0) {
    close(there[1]);
    while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1) {}
    _exit(0);
  }
  close(there[0]);
  uint64_t sum = 0;
  for (int i = 0; i < n; i++) {
    byte = i;
    check(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1);
    sum += (unsigned char)byte;
  }
  close(there[1]);
  waitpid(child, 0, 0);
  return sum;
}

static uint64_t forks(int n) {
  uint64_t sum = 0;
  for (int i = 0; i < n; i++) {
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) _exit(i & 63);
    int status;
    check(waitpid(child, &status, 0) == child);
    sum += WEXITSTATUS(status);
  }
  return sum;
}

/* Maps 64 pages, touches each, unmaps them. */
static uint64_t pages(int n) {
  uint64_t sum = 0;
  for (int i = 0; i < n; i++) {
    unsigned char *p = mmap(0, 64 << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(p != MAP_FAILED);
    for (int k = 0; k < 64; k++) p[k << 12] = k + i;
    sum += p[5 << 12];
    munmap(p, 64 << 12);
  }
  return sum;
}

static volatile sig_atomic_t caught;
static void count(int number) {
  (void)number;
  caught++;
}

static uint64_t signals(int n) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = count;
  sigaction(SIGUSR1, &action, 0);
  for (int i = 0; i < n; i++) raise(SIGUSR1);
  return caught;
}

/* Small reads and seeks in a file. */
static uint64_t files(int n) {
  char name[] = "/tmp/xents-bench-XXXXXX", line[64];
  int file = mkstemp(name);
  uint64_t sum = 0;
  check(file >= 0);
  unlink(name);
  for (int i = 0; i < 64; i++) {
    memset(line, i, sizeof line);
    check(write(file, line, sizeof line) == sizeof line);
  }
  for (int i = 0; i < n; i++) {
    check(pread(file, line, sizeof line, i % 64 * 64) == sizeof line);
    sum += line[3];
  }
  close(file);
  return sum;
}

const struct kernel system_kernels[] = {
    {"getppid", getppids}, {"pingpong", pingpong}, {"fork", forks}, {"pages", pages},
    {"signals", signals},  {"files", files},       {0},
};
