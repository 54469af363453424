/*
 * The floor: what the kernel asks for a delivery. One epoll loop that takes subscribers and, at each tick, calls send() once
 * for each of them with the same bytes. It parses nothing, looks after nobody and drops who lags.
 *
 *   floor BYTES EVERY_MS      prints "port N" once it listens on 127.0.0.1
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 65536 };

static const char HEAD[] =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\nconnection: close\r\n\r\n";

static int fds[MOST];
static int place[MOST]; /* by descriptor: 1 + its index in fds, or 0 */
static int count;

static void drop(int fd) {
  int at = place[fd] - 1;
  if (at >= 0) {
    fds[at] = fds[--count];
    place[fds[at]] = at + 1;
    place[fd] = 0;
  }
  close(fd);
}

static void broadcast(int bytes) {
  static char message[1 << 20];
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int head = sprintf(message, "data: @%llu;", now.tv_sec * 1000000000ull + now.tv_nsec);
  memset(message + head, 'x', bytes - head - 2);
  memcpy(message + bytes - 2, "\n\n", 2);
  for (int i = count - 1; i >= 0; i--)
    if (send(fds[i], message, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) != bytes) drop(fds[i]);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int bytes = atoi(argv[1]);
  long every = atol(argv[2]);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  if (bind(server, (void *)&at, size) || listen(server, 4096) || getsockname(server, (void *)&at, &size)) return 1;

  int ticks = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct timespec period = {every / 1000, every % 1000 * 1000000};
  struct itimerspec timing = {period, period};
  timerfd_settime(ticks, 0, &timing, 0);

  int loop = epoll_create1(0);
  epoll_ctl(loop, EPOLL_CTL_ADD, server, &(struct epoll_event){.events = EPOLLIN, .data.fd = server});
  epoll_ctl(loop, EPOLL_CTL_ADD, ticks, &(struct epoll_event){.events = EPOLLIN, .data.fd = ticks});
  printf("port %d\n", ntohs(at.sin_port));
  fflush(stdout);

  for (;;) {
    struct epoll_event events[1024];
    int ready = epoll_wait(loop, events, 1024, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == server) {
        int peer;
        while ((peer = accept4(server, 0, 0, SOCK_NONBLOCK)) >= 0) {
          if (peer >= MOST) {
            close(peer);
            continue;
          }
          setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
          epoll_ctl(loop, EPOLL_CTL_ADD, peer, &(struct epoll_event){.events = EPOLLIN, .data.fd = peer});
        }
      } else if (fd == ticks) {
        uint64_t passed;
        if (read(ticks, &passed, sizeof passed) > 0) broadcast(bytes);
      } else {
        char request[8192];
        ssize_t got = recv(fd, request, sizeof request, 0);
        if (got <= 0) {
          drop(fd);
        } else if (place[fd] == 0 && memmem(request, got, "\r\n\r\n", 4)) {
          send(fd, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL);
          fds[count++] = fd;
          place[fd] = count;
        }
      }
    }
  }
}
