/* A fake Google for the benchmark: answers by path, as cheaply as it can, on one thread.
 *
 *   upstream [--interval-ms N] [--events N]        prints {"port": N} and serves until it is killed
 *
 *   …:streamGenerateContent   N server-sent events, the first at once, one more every interval, chunked
 *   /upload/…                 the resumable protocol: start, upload, finalize; the bytes are counted and dropped
 *   anything else             one generateContent answer of about 1 KB
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http.h"

enum { EVENTS_MAX = 4096, EVENT_SIZE = 1024, UPLOADS = 64, CLOSED_MAX = 4096 };

struct connection {
    int fd;
    bool closed;
    int events_sent; /* -1: no stream under way */
    uint64_t due;
    struct connection *next_due;
    char *out;
    size_t out_size, out_sent, out_room;
    long long body_size;
    struct message message;
};

static int poller;
static int port;
static int event_count = 20;
static uint64_t interval_ns = 250 * 1000000ull;
static char (*event_text)[EVENT_SIZE];
static size_t *event_size;
static char unary_text[2048];
static size_t unary_size;
static long long uploaded[UPLOADS];
static unsigned uploads;
/* Every stream waits the same interval, so the order of waiting is the order of becoming due. */
static struct connection *first_due, *last_due;
static struct connection *graves[CLOSED_MAX];
static int grave_count;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void prepare_answers(void) {
    event_text = calloc((size_t)event_count, EVENT_SIZE);
    event_size = calloc((size_t)event_count, sizeof *event_size);
    if (event_text == NULL || event_size == NULL) die("calloc");
    for (int i = 0; i < event_count; i++) {
        char data[EVENT_SIZE - 64];
        const char *finish = i == event_count - 1 ? ",\"finishReason\": \"STOP\"" : "";
        int size = snprintf(
            data, sizeof data,
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Words number %04d of an answer, "
            "as long as a piece of a real one is. \"}],\"role\": \"model\"}%s,\"index\": 0}],"
            "\"usageMetadata\": {\"promptTokenCount\": 12,\"candidatesTokenCount\": %d,\"totalTokenCount\": %d,"
            "\"promptTokensDetails\": [{\"modality\": \"TEXT\",\"tokenCount\": 12}],"
            "\"serviceTier\": \"standard\"},"
            "\"modelVersion\": \"gemini-3.8-flash\",\"responseId\": \"bench-stream-0001\"}\r\n\r\n",
            i, finish, (i + 1) * 14, (i + 1) * 14 + 12);
        event_size[i] = (size_t)snprintf(event_text[i], EVENT_SIZE, "%x\r\n%s\r\n%s", (unsigned)size, data,
                                         i == event_count - 1 ? "0\r\n\r\n" : "");
    }
    char filler[641];
    for (size_t i = 0; i + 1 < sizeof filler; i++) filler[i] = i % 8 == 7 ? ' ' : (char)('a' + (int)(i % 26));
    filler[sizeof filler - 1] = '\0';
    char body[1536];
    int size = snprintf(
        body, sizeof body,
        "{\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"%s\"}],\"role\": \"model\"},"
        "\"finishReason\": \"STOP\",\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 160,"
        "\"candidatesTokenCount\": 150,\"totalTokenCount\": 310,"
        "\"promptTokensDetails\": [{\"modality\": \"TEXT\",\"tokenCount\": 160}],"
        "\"serviceTier\": \"standard\"},\"modelVersion\": \"gemini-3.8-flash\",\"responseId\": \"bench-0001\"}\n",
        filler);
    unary_size = (size_t)snprintf(unary_text, sizeof unary_text,
                                  "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\n"
                                  "Content-Length: %d\r\n\r\n%s",
                                  size, body);
}

static void bury(struct connection *c) {
    if (c->closed) return;
    c->closed = true;
    close(c->fd);
    /* A stream that waits for its time is freed when its turn comes; others after this round of events. */
    if (c->events_sent < 0 && grave_count < CLOSED_MAX) graves[grave_count++] = c;
}

static void flush(struct connection *c) {
    while (c->out_sent < c->out_size) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_size - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) {
            bury(c);
            return;
        }
        if (n < 0) {
            struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
            epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
            return;
        }
        c->out_sent += (size_t)n;
    }
    if (c->out_size > 0) c->out_size = c->out_sent = 0;
}

static void say(struct connection *c, const char *text, size_t size) {
    if (c->closed) return;
    if (c->out_size + size > c->out_room) {
        c->out_room = (c->out_size + size) * 2;
        c->out = realloc(c->out, c->out_room);
        if (c->out == NULL) die("realloc");
    }
    memcpy(c->out + c->out_size, text, size);
    c->out_size += size;
    flush(c);
}

static void wait_for_next(struct connection *c, uint64_t due) {
    c->due = due;
    c->next_due = NULL;
    if (last_due != NULL) last_due->next_due = c;
    else first_due = c;
    last_due = c;
}

static void send_event(struct connection *c) {
    int i = c->events_sent;
    /* Before the sending, which may find the client gone: whether it waits for a turn says who frees it. */
    c->events_sent = i + 1 == event_count ? -1 : i + 1;
    if (i == 0) {
        static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                   "Transfer-Encoding: chunked\r\n\r\n";
        char first[sizeof head + EVENT_SIZE];
        memcpy(first, head, sizeof head - 1);
        memcpy(first + sizeof head - 1, event_text[0], event_size[0]);
        say(c, first, sizeof head - 1 + event_size[0]);
    } else {
        say(c, event_text[i], event_size[i]);
    }
}

static void answer_upload(struct connection *c) {
    char reply[1024];
    size_t size = 0;
    const char *command = message_header(&c->message, "x-goog-upload-command", &size);
    if (command != NULL && size >= 5 && strncasecmp(command, "start", 5) == 0) {
        unsigned id = uploads++ % UPLOADS;
        uploaded[id] = 0;
        int n = snprintf(reply, sizeof reply,
                         "HTTP/1.1 200 OK\r\nX-Goog-Upload-Status: active\r\nX-Goog-Upload-URL: "
                         "http://127.0.0.1:%d/upload/v1beta/files?upload_id=%u&upload_protocol=resumable\r\n"
                         "Content-Length: 0\r\n\r\n",
                         port, id);
        say(c, reply, (size_t)n);
        return;
    }
    const char *found = memmem(c->message.head, c->message.head_size, "upload_id=", 10);
    unsigned id = found != NULL ? (unsigned)atoi(found + 10) % UPLOADS : 0;
    uploaded[id] += c->body_size;
    bool final = command != NULL && memmem(command, size, "finalize", 8) != NULL;
    char body[512] = "";
    int body_size = final ? snprintf(body, sizeof body,
                                     "{\"file\": {\"name\": \"files/bench%u\",\"mimeType\": "
                                     "\"application/octet-stream\",\"sizeBytes\": \"%lld\","
                                     "\"state\": \"ACTIVE\"}}\n",
                                     id, uploaded[id])
                          : 0;
    int n = snprintf(reply, sizeof reply,
                     "HTTP/1.1 200 OK\r\nX-Goog-Upload-Status: %s\r\nContent-Type: application/json\r\n"
                     "Content-Length: %d\r\n\r\n%s",
                     final ? "final" : "active", body_size, body);
    say(c, reply, (size_t)n);
}

static void answer(struct connection *c) {
    const struct message *m = &c->message;
    const char *line_end = memchr(m->head, '\n', m->head_size);
    size_t line = line_end != NULL ? (size_t)(line_end - m->head) : 0;
    if (memmem(m->head, line, ":streamGenerateContent", 22) != NULL) {
        c->events_sent = 0;
        send_event(c);
        if (c->events_sent >= 0) wait_for_next(c, now_ns() + interval_ns);
    } else if (memmem(m->head, line, "/upload/", 8) != NULL) {
        answer_upload(c);
    } else {
        say(c, unary_text, unary_size);
    }
}

static void count_body(void *context, const char *data, size_t size) {
    (void)data;
    ((struct connection *)context)->body_size += (long long)size;
}

static void receive(struct connection *c) {
    static char buffer[256 * 1024];
    while (!c->closed) {
        ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            bury(c);
            return;
        }
        size_t at = 0;
        while (at < (size_t)n && !c->closed) {
            size_t used = 0;
            enum read_result r =
                message_feed(&c->message, buffer + at, (size_t)n - at, &used, count_body, c);
            at += used;
            if (r == READ_BAD) bury(c);
            if (r != READ_DONE) continue;
            answer(c);
            c->body_size = 0;
            message_reset(&c->message, true);
        }
        if ((size_t)n < sizeof buffer) return;
    }
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = calloc(1, sizeof *c);
        if (c == NULL) die("calloc");
        c->fd = fd;
        c->events_sent = -1;
        message_reset(&c->message, true);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) != 0) die("epoll_ctl");
    }
}

/* Send what is due; returns how many milliseconds may be slept (-1: until something arrives). */
static int serve_due(void) {
    uint64_t now = now_ns();
    while (first_due != NULL && first_due->due <= now) {
        struct connection *c = first_due;
        first_due = c->next_due;
        if (first_due == NULL) last_due = NULL;
        if (c->closed) {
            free(c->out);
            free(c);
            continue;
        }
        uint64_t due = c->due;
        send_event(c);
        if (c->events_sent >= 0) wait_for_next(c, due + interval_ns);
    }
    return first_due == NULL ? -1 : (int)((first_due->due - now + 999999) / 1000000);
}

static int listen_anywhere(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 4096) != 0) die("listen");
    if (getsockname(fd, (struct sockaddr *)&a, &size) != 0) die("getsockname");
    port = ntohs(a.sin_port);
    return fd;
}

static void read_arguments(int argc, char **argv) {
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--interval-ms") == 0) {
            interval_ns = (uint64_t)atoll(argv[i + 1]) * 1000000ull;
        } else if (i + 1 < argc && strcmp(argv[i], "--events") == 0) {
            event_count = atoi(argv[i + 1]);
        } else {
            fprintf(stderr, "usage: upstream [--interval-ms N] [--events N]\n");
            exit(2);
        }
    }
    if (event_count < 1 || event_count > EVENTS_MAX) {
        fprintf(stderr, "upstream: --events is 1 to %d\n", EVENTS_MAX);
        exit(2);
    }
}

int main(int argc, char **argv) {
    read_arguments(argc, argv);
    /* No server outlives a benchmark that was killed. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prepare_answers();
    int listener = listen_anywhere();
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e) != 0) die("epoll");
    printf("{\"port\": %d}\n", port);
    fflush(stdout);
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(poller, events, 256, serve_due());
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == NULL) {
                accept_all(listener);
                continue;
            }
            if ((events[i].events & EPOLLOUT) && !c->closed) {
                struct epoll_event back = {.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &back);
                flush(c);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
        }
        while (grave_count > 0) {
            struct connection *c = graves[--grave_count];
            free(c->out);
            free(c);
        }
    }
}
