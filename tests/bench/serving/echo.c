/* The limit: epoll, one read, one write of a fixed answer for each request. It parses nothing, so that a request must
 * come in one piece. Arguments: the port and the file with the answer. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, ANSWER = 4096, REQUEST = 65536 };

static void watch(int poll, int socket) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = socket};
  epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event);
}

int main(int count, char **arguments) {
  static char answer[ANSWER], request[REQUEST];
  struct epoll_event events[EVENTS];
  const int on = 1;
  if (count != 3) return 2;
  FILE *file = fopen(arguments[2], "rb");
  if (!file) { perror(arguments[2]); return 1; }
  const size_t size = fread(answer, 1, sizeof answer, file);
  fclose(file);

  const int poll = epoll_create1(0), server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 1024)) { perror("bind"); return 1; }
  watch(poll, server);

  for (;;) {
    const int ready = epoll_wait(poll, events, EVENTS, -1);
    for (int at = 0; at < ready; at++) {
      const int client = events[at].data.fd;
      if (client == server) {
        const int accepted = accept4(server, NULL, NULL, SOCK_NONBLOCK);
        if (accepted < 0) continue;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(poll, accepted);
        continue;
      }
      const ssize_t got = read(client, request, sizeof request);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got <= 0 || write(client, answer, size) < 0) close(client);
    }
  }
}
