/*
 * The floor of a fan-out: what the kernel alone costs. One epoll loop brings
 * pre-framed events to all sockets, by the same rule as the server: whatever
 * lies between a socket's place and the head goes out in one write.
 *
 *   floor sse|websocket <bytes per event>
 *
 * It prints its port and ends with its standard input. GET subscribes; the
 * body of a POST is searched for `"seq":"`, and the event is sent to all.
 * Nothing is checked: this is a ruler, not a server.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  RING_BYTES = 1 << 26,
  SLICE_BYTES = 64 * 1024,
  READ_BYTES = 256 * 1024,
  WRITES_PER_POLL = 256,
  EVENTS_PER_POLL = 1024,
  MAX_FILES = 1 << 17,
  SEQUENCE_DIGITS = 10,
};

static const char READY_SSE[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: ready\ndata: {}\n\n";
static const char READY_WEBSOCKET[] =
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n\x81\x10{\"type\":\"ready\"}";
static const char PUBLISHED[] = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
static const char MARK[] = "\"seq\":\"";

/* Of a subscriber: bytes of the stream of events that it has. */
struct subscriber {
  uint64_t place;
  int fd;
  int index;
  int blocked;
};

static int epoll;
static int listener;
static struct subscriber *by_fd[MAX_FILES];
static struct subscriber *subscribers[MAX_FILES];
static int count;
/* Where the pass over the subscribers is, and how many it has still to visit. */
static int cursor;
static int unvisited;
static char *ring;
static uint64_t head;
static char *frame;
static size_t frame_bytes;
static size_t sequence_at;
static int is_websocket;
static char input[READ_BYTES];
static size_t input_length;
static int publisher = -1;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void make_frame(size_t bytes) {
  const char *start = is_websocket ? "\x81\x7e??{\"pad\":\"" : "id: ##########\ndata: {\"pad\":\"";
  const char *end = is_websocket ? "\",\"seq\":\"##########\"}" : "\",\"seq\":\"##########\"}\n\n";
  frame_bytes = bytes;
  frame = malloc(bytes);
  memset(frame, 'x', bytes);
  memcpy(frame, start, strlen(start));
  memcpy(frame + bytes - strlen(end), end, strlen(end));
  sequence_at = bytes - strlen(end) + strlen("\",\"seq\":\"");
  if (is_websocket) {
    frame[2] = (char)((bytes - 4) >> 8);
    frame[3] = (char)(bytes - 4);
  }
}

static void append(const char *sequence) {
  memcpy(frame + sequence_at, sequence, SEQUENCE_DIGITS);
  if (!is_websocket) memcpy(frame + strlen("id: "), sequence, SEQUENCE_DIGITS);
  size_t at = head % RING_BYTES;
  size_t first = frame_bytes < RING_BYTES - at ? frame_bytes : RING_BYTES - at;
  memcpy(ring + at, frame, first);
  memcpy(ring, frame + first, frame_bytes - first);
  head += frame_bytes;
  unvisited = count;
}

static void leave(int fd) {
  struct subscriber *gone = by_fd[fd];
  if (gone != NULL) {
    count -= 1;
    subscribers[gone->index] = subscribers[count];
    subscribers[gone->index]->index = gone->index;
    by_fd[fd] = NULL;
    free(gone);
  }
  if (fd == publisher) publisher = -1;
  close(fd);
}

static void subscribe(int fd) {
  struct subscriber *one = malloc(sizeof *one);
  *one = (struct subscriber){.place = head, .fd = fd, .index = count};
  subscribers[count] = one;
  count += 1;
  by_fd[fd] = one;
  const char *ready = is_websocket ? READY_WEBSOCKET : READY_SSE;
  if (write(fd, ready, strlen(ready)) < 0) leave(fd);
}

/* All in one write, as long as they fit. */
static void answer(int fd, int published) {
  char answers[16 * 1024];
  size_t length = 0;
  for (; published > 0; published -= 1) {
    if (length + strlen(PUBLISHED) > sizeof answers) {
      if (write(fd, answers, length) < 0) return;
      length = 0;
    }
    memcpy(answers + length, PUBLISHED, strlen(PUBLISHED));
    length += strlen(PUBLISHED);
  }
  if (length > 0 && write(fd, answers, length) < 0) return;
}

/* Takes the publishes that are whole; what is left is the start of the next. */
static void take_publishes(int fd) {
  char *at = input;
  char *end = input + input_length;
  int published = 0;
  for (;;) {
    char *body = memmem(at, end - at, "\r\n\r\n", 4);
    if (body == NULL) break;
    char *length = memmem(at, body - at, "content-length: ", 16);
    char *next = body + 4 + (length == NULL ? 0 : atoi(length + 16));
    if (next > end) break;
    char *mark = memmem(body, next - body, MARK, strlen(MARK));
    if (mark != NULL) append(mark + strlen(MARK));
    published += 1;
    at = next;
  }
  input_length = end - at;
  memmove(input, at, input_length);
  answer(fd, published);
}

/* The input is the publisher's alone: whoever else says something says it in one piece. */
static void receive(int fd) {
  char request[4096];
  for (;;) {
    int is_publisher = fd == publisher;
    ssize_t length = is_publisher ? read(fd, input + input_length, READ_BYTES - input_length)
                                  : read(fd, request, sizeof request);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
      leave(fd);
      return;
    }
    if (is_publisher) {
      input_length += length;
      take_publishes(fd);
    } else if (by_fd[fd] == NULL && request[0] == 'P') {
      publisher = fd;
      memcpy(input, request, length);
      input_length = length;
      take_publishes(fd);
    } else if (by_fd[fd] == NULL) {
      subscribe(fd);
      if (by_fd[fd] == NULL) return;
    }
  }
}

static void accept_all(void) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    if (fd >= MAX_FILES) {
      close(fd);
      continue;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
  }
}

/* One write of what lies between the subscriber's place and the head. */
static void visit(struct subscriber *one) {
  if (one->blocked || one->place == head) return;
  if (head - one->place > RING_BYTES) {
    leave(one->fd);
    return;
  }
  size_t at = one->place % RING_BYTES;
  size_t bytes = head - one->place;
  if (bytes > SLICE_BYTES) bytes = SLICE_BYTES;
  if (bytes > RING_BYTES - at) bytes = RING_BYTES - at;
  ssize_t written = write(one->fd, ring + at, bytes);
  if (written < 0) {
    if (errno == EAGAIN) one->blocked = 1;
    else leave(one->fd);
    return;
  }
  one->place += written;
  if ((size_t)written < bytes) one->blocked = 1;
  else if (one->place != head) unvisited = count + 1;
}

static void deliver(void) {
  for (int writes = 0; writes < WRITES_PER_POLL && unvisited > 0 && count > 0; writes += 1) {
    if (cursor >= count) cursor = 0;
    visit(subscribers[cursor]);
    cursor += 1;
    unvisited -= 1;
  }
}

static void listen_on_any_port(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (bind(listener, (struct sockaddr *)&address, length) < 0) die("bind");
  if (listen(listener, 4096) < 0) die("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  is_websocket = strcmp(argv[1], "websocket") == 0;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  make_frame(atoi(argv[2]));
  ring = malloc(RING_BYTES);
  epoll = epoll_create1(0);
  listen_on_any_port();
  struct epoll_event of_listener = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &of_listener);
  struct epoll_event of_input = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
  epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &of_input);
  static struct epoll_event events[EVENTS_PER_POLL];
  for (;;) {
    int ready = epoll_wait(epoll, events, EVENTS_PER_POLL, unvisited > 0 && count > 0 ? 0 : -1);
    for (int index = 0; index < ready; index += 1) {
      int fd = events[index].data.fd;
      if (fd == STDIN_FILENO) return 0;
      if (fd == listener) {
        accept_all();
        continue;
      }
      if ((events[index].events & EPOLLOUT) && by_fd[fd] != NULL && by_fd[fd]->blocked) {
        by_fd[fd]->blocked = 0;
        visit(by_fd[fd]);
      }
      if (events[index].events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR)) receive(fd);
    }
    deliver();
  }
}
