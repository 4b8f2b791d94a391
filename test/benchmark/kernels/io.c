/* io: block and network work for io.mjs, each past the page cache or one round trip at a time.
 *   io disk read|write PATH BLOCK-BYTES COUNT random|sequential JOBS
 *   io serve PORT             echoes single bytes, one connection at a time
 *   io bounce HOST PORT COUNT sends a byte and waits for it to come back
 *   io ping HOST COUNT        ICMP echo requests, one after the other
 * Prints one line, the same on every machine. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t next(uint64_t *state) {
  *state = *state * 6364136223846793005ull + 1442695040888963407ull;
  return *state >> 33;
}

static void work(int writes, const char *path, size_t block, long count, int is_random, int job, int jobs) {
  int fd = open(path, (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
  if (fd < 0) die(path);
  off_t blocks = lseek(fd, 0, SEEK_END) / (off_t)block;
  char *data;
  if (posix_memalign((void **)&data, 4096, block)) die("memory");
  memset(data, 'a' + job, block);
  uint64_t state = 42 + job;
  for (long i = job; i < count; i += jobs) {
    off_t at = (off_t)((is_random ? next(&state) : (uint64_t)i) % (uint64_t)blocks) * (off_t)block;
    ssize_t done = writes ? pwrite(fd, data, block, at) : pread(fd, data, block, at);
    if (done != (ssize_t)block) die(writes ? "write" : "read");
  }
  if (writes && fsync(fd)) die("fsync");
  close(fd);
}

static void disk(int argc, char **argv) {
  if (argc != 8) exit(2);
  int writes = !strcmp(argv[2], "write"), jobs = atoi(argv[7]);
  for (int job = 0; job < jobs; job++) {
    pid_t child = jobs > 1 ? fork() : 0;
    if (child < 0) die("fork");
    if (child > 0) continue;
    work(writes, argv[3], atol(argv[4]), atol(argv[5]), !strcmp(argv[6], "random"), job, jobs);
    if (jobs > 1) _exit(0);
  }
  for (int job = 0, status; jobs > 1 && job < jobs; job++)
    if (wait(&status) < 0 || status) exit(1);
}

static struct sockaddr_in address(const char *host, int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  a.sin_addr.s_addr = inet_addr(host);
  return a;
}

static void serve(int port) {
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = address("0.0.0.0", port);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (void *)&a, sizeof a) || listen(listener, 4)) die("listen");
  for (;;) {
    char byte;
    int fd = accept(listener, 0, 0);
    if (fd < 0) die("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1);
    close(fd);
  }
}

static void bounce(const char *host, int port, long count) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = address(host, port);
  if (connect(fd, (void *)&a, sizeof a)) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  for (char byte = 'x'; count > 0; count--)
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) die("bounce");
  close(fd);
}

static uint16_t checksum(const uint16_t *words, size_t bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes / 2; i++) sum += words[i];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static void ping(const char *host, long count) {
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  struct timeval wait_at_most = {.tv_sec = 5};
  struct sockaddr_in a = address(host, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait_at_most, sizeof wait_at_most);
  for (long i = 0; i < count; i++) {
    struct { struct icmphdr header; char data[56]; } request = {.header = {.type = ICMP_ECHO}};
    request.header.un.echo.id = htons(77);
    request.header.un.echo.sequence = htons((uint16_t)i);
    request.header.checksum = checksum((void *)&request, sizeof request);
    if (sendto(fd, &request, sizeof request, 0, (void *)&a, sizeof a) < 0) die("send");
    for (;;) {
      uint8_t reply[256];
      if (recv(fd, reply, sizeof reply, 0) < 0) die("reply");
      const struct icmphdr *header = (void *)(reply + (reply[0] & 15) * 4);
      if (header->type == ICMP_ECHOREPLY && header->un.echo.sequence == request.header.un.echo.sequence) break;
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  if (!strcmp(argv[1], "disk")) disk(argc, argv);
  else if (!strcmp(argv[1], "serve")) serve(atoi(argv[2]));
  else if (!strcmp(argv[1], "bounce") && argc == 5) bounce(argv[2], atoi(argv[3]), atol(argv[4]));
  else if (!strcmp(argv[1], "ping") && argc == 4) ping(argv[2], atol(argv[3]));
  else return 2;
  puts("done");
  return 0;
}
