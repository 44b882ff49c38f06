/* The little of HTTP/1.1 that both native tools need: one incremental reader of a message's head and body.
 *
 * A message is fed in whatever pieces the network gives; body bytes are handed to a sink without framing.
 * A body that has neither a length nor chunks cannot be proven whole, so it is reported as malformed.
 */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD_MAX = 8192 };

enum read_result { READ_MORE, READ_DONE, READ_BAD };

enum body_state {
    IN_HEAD,
    IN_LENGTH,
    CHUNK_SIZE,
    CHUNK_DATA,
    CHUNK_END,
    TRAILER,
    FINISHED
};

typedef void (*body_sink)(void *context, const char *data, size_t size);

struct message {
    enum body_state state;
    bool request;
    bool chunked;
    bool closing;
    int status;
    long long length;
    long long left;
    size_t head_size;
    size_t line_size;
    char line[32];
    char head[HEAD_MAX];
};

static inline void message_reset(struct message *m, bool request) {
    m->state = IN_HEAD;
    m->request = request;
    m->chunked = false;
    m->closing = false;
    m->status = 0;
    m->length = -1;
    m->left = 0;
    m->head_size = 0;
    m->line_size = 0;
}

/* The value of a header in a finished head, trimmed, or NULL. Not zero-terminated: ends at the line end. */
static inline const char *message_header(const struct message *m, const char *name, size_t *size) {
    size_t name_size = strlen(name);
    const char *at = m->head;
    const char *end = m->head + m->head_size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) break;
        size_t span = (size_t)(stop - at);
        if (span > name_size && at[name_size] == ':' && strncasecmp(at, name, name_size) == 0) {
            const char *from = at + name_size + 1;
            while (from < stop && (*from == ' ' || *from == '\t')) from++;
            const char *to = stop;
            while (to > from && (to[-1] == '\r' || to[-1] == ' ')) to--;
            *size = (size_t)(to - from);
            return from;
        }
        at = stop + 1;
    }
    return NULL;
}

static inline bool header_is(const struct message *m, const char *name, const char *value) {
    size_t size = 0;
    const char *found = message_header(m, name, &size);
    return found != NULL && size == strlen(value) && strncasecmp(found, value, size) == 0;
}

static inline enum read_result message_begin_body(struct message *m) {
    size_t size = 0;
    if (!m->request) {
        m->status = m->head_size > 12 ? atoi(m->head + 9) : 0;
        if (strncmp(m->head, "HTTP/1.", 7) != 0 || m->status < 100) return READ_BAD;
    }
    m->closing = header_is(m, "connection", "close");
    m->chunked = header_is(m, "transfer-encoding", "chunked");
    const char *length = message_header(m, "content-length", &size);
    if (length != NULL) m->length = atoll(length);
    if (m->chunked) {
        m->state = CHUNK_SIZE;
        return READ_MORE;
    }
    if (m->length < 0) {
        if (!m->request) return READ_BAD;
        m->length = 0;
    }
    m->left = m->length;
    m->state = m->left > 0 ? IN_LENGTH : FINISHED;
    return m->state == FINISHED ? READ_DONE : READ_MORE;
}

/* Take one byte of a line; true when the line is whole (kept in m->line, without its end). */
static inline bool message_line(struct message *m, char byte) {
    if (byte == '\n') {
        if (m->line_size > 0 && m->line[m->line_size - 1] == '\r') m->line_size--;
        m->line[m->line_size] = '\0';
        return true;
    }
    if (m->line_size < sizeof m->line - 1) m->line[m->line_size++] = byte;
    return false;
}

static inline enum read_result message_end_line(struct message *m) {
    bool empty = m->line_size == 0;
    m->line_size = 0;
    if (m->state == CHUNK_SIZE) {
        char *stop = NULL;
        m->left = strtoll(m->line, &stop, 16);
        if (stop == m->line || m->left < 0) return READ_BAD;
        m->state = m->left > 0 ? CHUNK_DATA : TRAILER;
        return READ_MORE;
    }
    if (m->state == CHUNK_END) {
        m->state = CHUNK_SIZE;
        return empty ? READ_MORE : READ_BAD;
    }
    if (!empty) return READ_MORE; /* a trailer field */
    m->state = FINISHED;
    return READ_DONE;
}

static inline enum read_result message_take_head(struct message *m, char byte) {
    if (m->head_size >= HEAD_MAX) return READ_BAD;
    m->head[m->head_size++] = byte;
    if (byte != '\n' || m->head_size < 4) return READ_MORE;
    if (memcmp(m->head + m->head_size - 4, "\r\n\r\n", 4) != 0) return READ_MORE;
    return message_begin_body(m);
}

/* Feed bytes until they are used up or the message is whole; *used says how many were taken. */
static inline enum read_result message_feed(struct message *m, const char *data, size_t size, size_t *used,
                                            body_sink sink, void *context) {
    size_t at = 0;
    enum read_result result = READ_MORE;
    while (at < size && result == READ_MORE) {
        if (m->state == IN_HEAD) {
            result = message_take_head(m, data[at++]);
        } else if (m->state == IN_LENGTH || m->state == CHUNK_DATA) {
            size_t span = size - at;
            if ((long long)span > m->left) span = (size_t)m->left;
            sink(context, data + at, span);
            at += span;
            m->left -= (long long)span;
            if (m->left == 0) {
                if (m->state == IN_LENGTH) result = READ_DONE;
                m->state = m->state == IN_LENGTH ? FINISHED : CHUNK_END;
            }
        } else if (message_line(m, data[at++])) {
            result = message_end_line(m);
        }
    }
    *used = at;
    return result;
}

#endif
