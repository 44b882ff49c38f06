/* The load of the benchmark: one thread, one epoll, no libraries.
 *
 *   load unary   --port N --path P --body FILE [--header 'name: value']… --connections N --seconds S
 *                [--rate R] [--warmup S] [--watch PID]…
 *   load streams --port N --path P --body FILE [--header 'name: value']… --count N --ramp S --events E
 *                [--dialect google|openai] [--watch PID]…
 *
 * unary with --rate is open loop: calls are due on a schedule of random (Poisson) gaps with a fixed seed, so every
 * server gets the same one, and a call's latency counts from when it was due, not from when a connection was free.
 * Without --rate it is closed loop: each connection sends its next call when the last was answered.
 * streams opens N streaming calls, spread evenly over the ramp; times count from when a stream was due to open.
 * E events with text are wanted in each. OpenAI's streams carry an id and a time of their own, so that of those only
 * the texts are held to be alike; "words" is a hash of the texts alone, the same in both dialects.
 *
 * --watch names server processes: their CPU time (all threads, user and system, in ns) is read from the kernel at
 * the edges of the measured span. The last line of output is one JSON object; times are microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "http.h"

enum { WATCH_MAX = 64, LINE_MAX_SIZE = 8192, PATIENCE_S = 60, DRAIN_S = 10 };

#define HASH_START 0xcbf29ce484222325ull
#define HASH_STEP(hash, byte) (((hash) ^ (unsigned char)(byte)) * 0x100000001b3ull)

enum phase { IDLE, CONNECTING, BUSY, ENDED };

struct connection {
    int fd;
    enum phase phase;
    bool measured;
    bool sse;
    uint64_t due, first;
    size_t sent;
    int events;
    int faults; /* error events, and data that is no Gemini event */
    bool finished; /* a finish reason was seen */
    bool done; /* OpenAI's last line was seen */
    uint64_t digest, words;
    size_t line_size;
    char *line;
    struct connection *next_free;
    struct message message;
};

struct samples {
    double *value;
    size_t count, room;
};

static struct {
    bool streams, openai;
    int port;
    const char *path, *body;
    int connections;
    double rate, seconds, warmup, ramp;
    int events;
    pid_t watch[WATCH_MAX];
    int watched;
} want;

static char headers[4096];
static char *request;
static size_t request_size;
static int poller, timer;
static struct connection *pool;
static struct connection *first_free, *last_free;
static struct samples latency, first_byte;
static long long calls, errors, answered, events_seen, digests_differ;
static char first_error[128];
static uint64_t begin, measure_from, measure_to, cpu_from, last_end, reference_digest, reference_words;
static int open_now, open_peak; /* calls (or streams) under way */
static uint64_t chance = 0x9E3779B97F4A7C15ull;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t cpu_ns(void) {
    uint64_t sum = 0;
    for (int i = 0; i < want.watched; i++) {
        clockid_t id;
        struct timespec t;
        int fault = clock_getcpuclockid(want.watch[i], &id);
        if (fault == 0 && clock_gettime(id, &t) != 0) fault = errno;
        if (fault != 0) {
            fprintf(stderr, "load: no CPU clock of process %d: %s\n", (int)want.watch[i], strerror(fault));
            exit(1);
        }
        sum += (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
    }
    return sum;
}

static void note(struct samples *s, double value) {
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        s->value = realloc(s->value, s->room * sizeof *s->value);
        if (s->value == NULL) die("realloc");
    }
    s->value[s->count++] = value;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const struct samples *s, double q) {
    if (s->count == 0) return 0;
    size_t at = (size_t)(q * (double)s->count);
    return s->value[at < s->count ? at : s->count - 1];
}

/* The gap to the next call in ns: exponential, so that calls cluster as those of independent clients do. */
static double gap_ns(void) {
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    double u = ((double)(chance >> 11) + 1.0) / 9007199254740993.0;
    return -log(u) * 1e9 / want.rate;
}

static void build_request(void) {
    FILE *f = fopen(want.body, "rb");
    if (f == NULL) die(want.body);
    static char body[1 << 20];
    size_t size = fread(body, 1, sizeof body, f);
    fclose(f);
    request = malloc(size + sizeof headers + 2048);
    if (request == NULL) die("malloc");
    int head = sprintf(request,
                       "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n%s\r\n",
                       want.path, want.port, size, headers);
    memcpy(request + head, body, size);
    request_size = (size_t)head + size;
}

static void watch_for(struct connection *c, bool writing, int operation) {
    struct epoll_event e = {.events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &e) != 0) die("epoll_ctl");
}

static void start_connect(struct connection *c) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)want.port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0 && errno != EINPROGRESS) die("connect");
    watch_for(c, true, EPOLL_CTL_ADD);
}

static void release(struct connection *c) {
    c->phase = IDLE;
    c->next_free = NULL;
    if (last_free != NULL) last_free->next_free = c;
    else first_free = c;
    last_free = c;
}

static void begin_call(struct connection *c, uint64_t due) {
    c->due = due;
    c->first = 0;
    c->sent = 0;
    c->events = 0;
    c->faults = 0;
    c->finished = false;
    c->done = false;
    c->digest = c->words = HASH_START;
    c->line_size = 0;
    c->phase = BUSY;
    if (++open_now > open_peak) open_peak = open_now;
    c->measured = want.streams || (due >= measure_from && due < measure_to);
    message_reset(&c->message, false);
}

static void fault(struct connection *c, const char *what) {
    if (c->measured) errors++;
    if (first_error[0] == '\0') snprintf(first_error, sizeof first_error, "%s", what);
}

/* The call is over. A connection that cannot carry another is opened anew (unary) or ends (streams). */
static void end_call(struct connection *c, const char *wrong) {
    uint64_t now = now_ns();
    last_end = now;
    if (wrong != NULL) fault(c, wrong);
    if (wrong == NULL) {
        answered++;
        if (c->measured) note(&latency, (double)(now - c->due) / 1000.0);
    }
    if (c->measured) calls++;
    open_now--;
    if (want.streams) {
        close(c->fd);
        c->phase = ENDED;
        return;
    }
    if (wrong != NULL || c->message.closing) {
        close(c->fd);
        start_connect(c);
        c->phase = CONNECTING;
        return;
    }
    release(c);
}

/* Adds the text behind this mark to the hash of the words; false when there is none, or an empty one. */
static bool take_words(struct connection *c, size_t size, const char *mark) {
    const char *end = c->line + size, *at = memmem(c->line, size, mark, strlen(mark));
    if (at == NULL) return false;
    at += strlen(mark);
    if (at == end || *at == '"') return false;
    for (; at < end && *at != '"'; at++) {
        if (*at == '\\' && at + 1 < end) c->words = HASH_STEP(c->words, *at++);
        c->words = HASH_STEP(c->words, *at);
    }
    return true;
}

/* One line of OpenAI's. Chunks without text (the role, the finish reason, the usage) are no events here, so that an
 * answer has as many as Google sent. */
static void judge_chunk(struct connection *c, size_t size) {
    static const char done[] = "data: [DONE]";
    if (c->done) c->faults++;
    else if (size == sizeof done - 1 && memcmp(c->line, done, size) == 0) c->done = true;
    else if (memmem(c->line, size, "\"error\":", 8) != NULL) c->faults++;
    else if (memmem(c->line, size, "\"choices\":", 10) == NULL) c->faults++;
    else if (take_words(c, size, "\"content\":\"")) c->events++;
    if (memmem(c->line, size, "\"finish_reason\":\"", 17) != NULL) c->finished = true;
}

static void judge_line(struct connection *c) {
    size_t size = c->line_size;
    if (size > 0 && c->line[size - 1] == '\r') size--;
    c->line_size = 0;
    if (size == 0) return;
    if (c->first == 0) c->first = now_ns();
    if (size < 6 || memcmp(c->line, "data:", 5) != 0) {
        c->faults++;
        return;
    }
    if (want.openai) {
        judge_chunk(c, size);
        return;
    }
    take_words(c, size, "\"text\": \"");
    if (memmem(c->line, size, "\"error\":", 8) != NULL) c->faults++;
    else if (memmem(c->line, size, "\"candidates\":", 13) == NULL) c->faults++;
    else c->events++;
    if (memmem(c->line, size, "\"finishReason\":", 15) != NULL) c->finished = true;
}

static void take_body(void *context, const char *data, size_t size) {
    struct connection *c = context;
    if (!want.streams) return;
    for (size_t i = 0; i < size; i++) {
        c->digest = HASH_STEP(c->digest, data[i]);
        if (data[i] == '\n') judge_line(c);
        else if (c->line_size < LINE_MAX_SIZE) c->line[c->line_size++] = data[i];
    }
}

static const char *judge_answer(struct connection *c) {
    static char wrong[64];
    if (c->message.status != 200) {
        snprintf(wrong, sizeof wrong, "status %d", c->message.status);
        return wrong;
    }
    if (!want.streams) return NULL;
    events_seen += c->events;
    if (c->faults > 0) return "an error event or a line that is no event";
    if (c->events != want.events || c->line_size > 0) {
        snprintf(wrong, sizeof wrong, "%d events of %d", c->events, want.events);
        return wrong;
    }
    if (!c->finished) return "no finish reason";
    if (want.openai && !c->done) return "no [DONE]";
    if (want.openai) c->digest = c->words;
    if (reference_digest == 0) reference_digest = c->digest;
    if (reference_words == 0) reference_words = c->words;
    if (c->digest != reference_digest) digests_differ++;
    note(&first_byte, (double)(c->first - c->due) / 1000.0);
    return NULL;
}

static void send_some(struct connection *c) {
    while (c->sent < request_size) {
        ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            watch_for(c, true, EPOLL_CTL_MOD);
            return;
        }
        if (n < 0) {
            end_call(c, strerror(errno));
            return;
        }
        c->sent += (size_t)n;
    }
}

static void receive(struct connection *c) {
    static char buffer[256 * 1024];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (c->phase != BUSY) {
        /* An idle keep-alive connection that the server closes is no error; it is opened anew. */
        if (n > 0) {
            errors++;
            snprintf(first_error, sizeof first_error, "bytes outside of a call");
        }
        close(c->fd);
        c->fd = -1;
        if (c->phase == CONNECTING) release(c);
        return;
    }
    if (n <= 0) {
        if (c->phase == BUSY) end_call(c, n < 0 ? strerror(errno) : "closed before the end of the answer");
        return;
    }
    size_t used = 0;
    enum read_result r = message_feed(&c->message, buffer, (size_t)n, &used, take_body, c);
    if (r == READ_BAD) end_call(c, "not HTTP, or an end that cannot be proven");
    else if (r == READ_DONE) end_call(c, used == (size_t)n ? judge_answer(c) : "bytes after the answer");
}

static void on_ready(struct connection *c, uint32_t events) {
    if (c->phase == ENDED) return;
    if (events & EPOLLOUT) {
        watch_for(c, false, EPOLL_CTL_MOD);
        if (c->phase == CONNECTING) release(c);
        else if (c->phase == BUSY) send_some(c);
    }
    if (c->phase != ENDED && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) receive(c);
}

static void arm(uint64_t at) {
    struct itimerspec t = {.it_value = {(time_t)(at / 1000000000ull), (long)(at % 1000000000ull)}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, NULL) != 0) die("timerfd_settime");
}

static void poll_once(void) {
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, 1000);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != NULL) {
            on_ready(events[i].data.ptr, events[i].events);
        } else {
            uint64_t ticks;
            if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) die("read");
        }
    }
}

static struct connection *take_free(void) {
    struct connection *c = first_free;
    first_free = c->next_free;
    if (first_free == NULL) last_free = NULL;
    return c;
}

static void open_pool(void) {
    for (int i = 0; i < want.connections; i++) {
        start_connect(&pool[i]);
        pool[i].phase = CONNECTING;
    }
    for (int ready = 0; ready < want.connections;) {
        poll_once();
        ready = 0;
        for (int i = 0; i < want.connections; i++) ready += pool[i].phase == IDLE;
        if (now_ns() > begin + PATIENCE_S * 1000000000ull) {
            fprintf(stderr, "load: the server does not take %d connections\n", want.connections);
            exit(1);
        }
    }
}

static void run_unary(void) {
    open_pool();
    begin = now_ns();
    measure_from = begin + (uint64_t)(want.warmup * 1e9);
    measure_to = measure_from + (uint64_t)(want.seconds * 1e9);
    double next = (double)begin;
    bool counting = false;
    for (;;) {
        uint64_t now = now_ns();
        if (!counting && now >= measure_from) {
            cpu_from = cpu_ns();
            counting = true;
        }
        /* What was due in the span is waited for, so that no slow call is left out. */
        bool all_sent = want.rate > 0 ? next >= (double)measure_to : now >= measure_to;
        if (all_sent && open_now == 0 && now >= measure_to) return;
        if (now >= measure_to + DRAIN_S * 1000000000ull) {
            errors += open_now;
            snprintf(first_error, sizeof first_error, "%d calls unanswered %d s after the end", open_now, DRAIN_S);
            return;
        }
        while (!all_sent && first_free != NULL && (want.rate <= 0 || next <= (double)now)) {
            struct connection *c = take_free();
            begin_call(c, want.rate > 0 ? (uint64_t)next : now_ns());
            if (want.rate > 0) next += gap_ns();
            if (c->fd < 0) start_connect(c);
            else send_some(c);
            all_sent = want.rate > 0 ? next >= (double)measure_to : now_ns() >= measure_to;
        }
        uint64_t wake = !counting ? measure_from : now < measure_to ? measure_to : now + 1000000000ull;
        if (want.rate > 0 && !all_sent && first_free != NULL && (uint64_t)next < wake) wake = (uint64_t)next;
        arm(wake);
        poll_once();
    }
}

static void open_stream(struct connection *c, uint64_t due) {
    c->line = malloc(LINE_MAX_SIZE);
    if (c->line == NULL) die("malloc");
    begin_call(c, due);
    start_connect(c);
}

static void run_streams(void) {
    begin = now_ns();
    cpu_from = cpu_ns();
    last_end = begin;
    int opened = 0;
    uint64_t limit = begin + (uint64_t)((want.ramp + PATIENCE_S) * 1e9);
    while (opened < want.connections || open_now > 0) {
        uint64_t now = now_ns();
        if (now > limit) {
            snprintf(first_error, sizeof first_error, "%d streams still open after %d s", open_now, PATIENCE_S);
            errors += open_now;
            return;
        }
        uint64_t due = 0;
        while (opened < want.connections) {
            due = begin + (uint64_t)(want.ramp * 1e9 * opened / want.connections);
            if (due > now) break;
            open_stream(&pool[opened++], due);
        }
        if (opened < want.connections) arm(due);
        poll_once();
    }
}

static void print_samples(const char *name, struct samples *s) {
    if (s->count > 0) qsort(s->value, s->count, sizeof *s->value, by_value);
    printf("\"%s\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"max\": %.1f}, ", name, quantile(s, 0.5),
           quantile(s, 0.9), quantile(s, 0.99), quantile(s, 1));
}

static void print_results(uint64_t cpu, uint64_t span) {
    printf("{");
    print_samples(want.streams ? "last_byte_us" : "latency_us", &latency);
    if (want.streams) {
        print_samples("first_event_us", &first_byte);
        printf("\"events\": %lld, \"bodies_that_differ\": %lld, \"digest\": \"%016llx\", \"words\": \"%016llx\", ",
               events_seen, digests_differ, (unsigned long long)reference_digest,
               (unsigned long long)reference_words);
    }
    printf("\"peak_open\": %d, \"calls\": %lld, \"errors\": %lld, \"answered\": %lld, \"first_error\": \"%s\", \"cpu_ns\": %llu, "
           "\"span_ns\": %llu}\n",
           open_peak, calls, errors, answered, first_error, (unsigned long long)cpu, (unsigned long long)span);
}

static void usage(const char *what) {
    fprintf(stderr, "load: %s (usage stands at the top of load.c)\n", what);
    exit(2);
}

static void read_arguments(int argc, char **argv) {
    if (argc < 2) usage("unary or streams?");
    want.streams = strcmp(argv[1], "streams") == 0;
    if (!want.streams && strcmp(argv[1], "unary") != 0) usage("unary or streams?");
    for (int i = 2; i < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (i + 1 >= argc) usage(name);
        if (strcmp(name, "--port") == 0) want.port = atoi(value);
        else if (strcmp(name, "--path") == 0) want.path = value;
        else if (strcmp(name, "--body") == 0) want.body = value;
        else if (strcmp(name, "--connections") == 0 || strcmp(name, "--count") == 0) want.connections = atoi(value);
        else if (strcmp(name, "--rate") == 0) want.rate = atof(value);
        else if (strcmp(name, "--seconds") == 0) want.seconds = atof(value);
        else if (strcmp(name, "--warmup") == 0) want.warmup = atof(value);
        else if (strcmp(name, "--ramp") == 0) want.ramp = atof(value);
        else if (strcmp(name, "--events") == 0) want.events = atoi(value);
        else if (strcmp(name, "--dialect") == 0 && strcmp(value, "google") == 0) want.openai = false;
        else if (strcmp(name, "--dialect") == 0 && strcmp(value, "openai") == 0) want.openai = true;
        else if (strcmp(name, "--watch") == 0 && want.watched < WATCH_MAX) want.watch[want.watched++] = atoi(value);
        else if (strcmp(name, "--header") == 0 && strlen(headers) + strlen(value) + 3 < sizeof headers)
            strcat(strcat(headers, value), "\r\n");
        else usage(name);
    }
    if (want.port <= 0 || want.path == NULL || strlen(want.path) > 1024 || want.body == NULL || want.connections < 1)
        usage("--port, --path, --body and a number of connections are needed");
    if (!want.streams && want.seconds <= 0) usage("--seconds is needed");
}

int main(int argc, char **argv) {
    read_arguments(argc, argv);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    build_request();
    poller = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (poller < 0 || timer < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, timer, &e) != 0) die("epoll");
    pool = calloc((size_t)want.connections, sizeof *pool);
    if (pool == NULL) die("calloc");
    begin = now_ns();
    if (want.streams) run_streams();
    else run_unary();
    uint64_t end = want.streams ? last_end : now_ns();
    print_results(cpu_ns() - cpu_from, end - (want.streams ? begin : measure_from));
    return 0;
}
