/*
 * Subscribers that merely drain and count. Each sends its request, reads for ever, and looks for "@NANOSECONDS;" in what it
 * gets: the moment on this machine's monotonic clock at which the message was made.
 *
 *   drain PORT COUNT REQUEST HELLO RCVBUF QUIET_MS
 *
 * HELLO, in hex and maybe empty, is sent once the head of the answer is there. RCVBUF is the receive buffer in bytes, 0 for
 * the system's own; with it segments are small too, as on a narrow line, so that the kernels hold little between them. It
 * prints "joined N" when all heads are there, and then answers lines on standard input:
 *
 *   clear    forget what was counted, and say "cleared"       } both once nothing has come for QUIET_MS, so
 *   report   what was counted since, as one line of JSON      } that no message is counted by halves
 *   sleep    stop reading;   wake    read again               } say "sleep" and "wake"
 *
 * It looks for news every half millisecond and is not woken by a message: clients are elsewhere, and a sender does not pay
 * for waking them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUCKETS = 200000 }; /* of 0.1 ms each: 20 s */

struct subscriber {
  int fd;
  int ends;          /* how much of \r\n\r\n was seen; 4: the head is through */
  int in_time;       /* between @ and ; */
  uint64_t time;     /* what was read of it */
  uint64_t last;
};

static struct subscriber *all;
static int count, joined, lost, asleep;
static uint64_t received, distinct, newest, backwards, bytes, largest, last_heard;
static uint32_t histogram[BUCKETS];
static unsigned char hello[256];
static int hello_size;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void heard(struct subscriber *s, uint64_t at) {
  uint64_t took = at - s->time;
  if (s->time > at) took = 0;
  if (took > largest) largest = took;
  uint64_t bucket = took / 100000;
  histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
  received++;
  if (s->time > newest) {
    newest = s->time;
    distinct++;
  }
  if (s->time <= s->last) backwards++;
  s->last = s->time;
}

static void feed(struct subscriber *s, const char *p, const char *end, uint64_t at) {
  while (p < end && s->ends < 4) {
    s->ends = *p == "\r\n\r\n"[s->ends] ? s->ends + 1 : *p == '\r';
    p++;
    if (s->ends == 4) {
      joined++;
      if (hello_size > 0 && send(s->fd, hello, hello_size, MSG_NOSIGNAL) != hello_size) lost++;
    }
  }
  while (p < end) {
    if (!s->in_time) {
      p = memchr(p, '@', end - p);
      if (!p) return;
      p++;
      s->in_time = 1;
      s->time = 0;
    }
    while (p < end && *p >= '0' && *p <= '9') s->time = s->time * 10 + (*p++ - '0');
    if (p == end) return;
    s->in_time = 0;
    if (*p == ';') heard(s, at);
  }
}

static int drain(int loop, int wait) {
  static char buffer[1 << 18];
  struct epoll_event events[1024];
  int ready = epoll_wait(loop, events, 1024, wait);
  uint64_t at = 0;
  for (int i = 0; i < ready; i++) {
    struct subscriber *s = events[i].data.ptr;
    ssize_t got = recv(s->fd, buffer, sizeof buffer, 0);
    if (got > 0) {
      /* The clock is cheap, and a batch of a thousand is not one moment. */
      at = now();
      bytes += got;
      feed(s, buffer, buffer + got, at);
    } else if (got == 0 || errno != EAGAIN) {
      lost++;
      epoll_ctl(loop, EPOLL_CTL_DEL, s->fd, 0);
    }
  }
  if (at) last_heard = at;
  return ready;
}

static void report(void) {
  uint64_t oldest = UINT64_MAX;
  for (int i = 0; i < count; i++) if (all[i].last < oldest) oldest = all[i].last;
  printf("{\"received\":%llu,\"distinct\":%llu,\"backwards\":%llu,\"lost\":%d,\"bytes\":%llu,\"largest\":%llu,"
         "\"newest\":\"%llu\",\"oldest\":\"%llu\",\"histogram\":[",
         (unsigned long long)received, (unsigned long long)distinct, (unsigned long long)backwards, lost,
         (unsigned long long)bytes, (unsigned long long)largest, (unsigned long long)newest,
         (unsigned long long)oldest);
  const char *comma = "";
  for (int i = 0; i < BUCKETS; i++) {
    if (!histogram[i]) continue;
    printf("%s[%d,%u]", comma, i, histogram[i]);
    comma = ",";
  }
  printf("]}\n");
}

static void clear(void) {
  received = distinct = backwards = bytes = largest = 0;
  memset(histogram, 0, sizeof histogram);
  printf("cleared\n");
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  int port = atoi(argv[1]);
  count = atoi(argv[2]);
  const char *request = argv[3];
  for (const char *hex = argv[4]; hex[0] && hex[1]; hex += 2) sscanf(hex, "%2hhx", &hello[hello_size++]);
  int rcvbuf = atoi(argv[5]);
  uint64_t silence = atoi(argv[6]) * 1000000ull;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  all = calloc(count, sizeof *all);
  int loop = epoll_create1(0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < count; i++) {
    /* A few at a time, so that nobody's backlog is what is measured. */
    while (i - joined > 64) drain(loop, 1);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (rcvbuf) {
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
      setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &(int){536}, sizeof(int));
    }
    if (connect(fd, (void *)&at, sizeof at) || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0) {
      perror("connect");
      return 1;
    }
    all[i].fd = fd;
    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &all[i]});
  }
  while (joined < count && !lost) drain(loop, 1);
  printf("joined %d\n", joined);
  fflush(stdout);

  char order[16] = "";
  for (;;) {
    int got = asleep ? 0 : drain(loop, 0);
    struct pollfd in = {0, POLLIN, 0};
    if (!order[0] && poll(&in, 1, 0) > 0 && !fgets(order, sizeof order, stdin)) return 0;
    int quiet = now() - last_heard > silence;
    if (!strcmp(order, "sleep\n")) asleep = 1, printf("sleep\n");
    else if (!strcmp(order, "wake\n")) asleep = 0, printf("wake\n");
    else if (!strcmp(order, "clear\n") && quiet) clear();
    else if (!strcmp(order, "report\n") && quiet) report();
    else if (order[0] && quiet) return 2;
    else {
      if (got < 1024) nanosleep(&(struct timespec){0, 500000}, 0);
      continue;
    }
    order[0] = 0;
    fflush(stdout);
  }
}
