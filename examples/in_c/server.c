/* A memcached server by chapter 4, in C: cc -O2 -o server server.c && ./server PORT (0 for a free one).
 *
 * One thread finds clients with input by poll(). New bytes are appended to the client's input;
 * step() takes one command from the front of it, or nothing while the command isn't whole.
 */

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_ITEM = 1 << 20,   /* bytes of a key and its value */
    MAX_CACHE = 64 << 20, /* bytes of all items, with OVERHEAD for each */
    OVERHEAD = 96,        /* struct item, its place in the table, and malloc's header */
    MAX_KEY = 250,
    MAX_LINE = 2048, /* a line must end in these, unless it is a get */
    MAX_GET = 1 << 16,
    MAX_CLIENTS = 1024,
    SEND_AT = 1 << 16, /* no further command while more waits to be sent */
    BUCKETS = 1 << 17,
};

struct bytes { char *at; size_t used, room; };
struct client {
    int fd, ended, closing; /* ended: it sends no more; closing: nor do we, after what waits */
    struct bytes in, out;
    size_t skip; /* bytes still to come of a refused value */
};
struct word { char *at; size_t size; };
struct item {
    struct item *next, *newer, *older; /* in its bucket, and in the queue */
    int64_t end;                       /* milliseconds of Unix time; INT64_MAX is never */
    uint64_t unique;
    uint32_t flags, key, value;
    int visited;
    char data[]; /* the key, then the value */
};

static struct client clients[MAX_CLIENTS];
static int count;
static struct item *table[BUCKETS], *newest, *oldest, *hand;
static uint64_t unique;
static size_t used;
static int64_t flush_at = INT64_MAX;

static void *need(void *memory)
{
    if (memory) return memory;
    fputs("server: no memory\n", stderr);
    exit(1);
}

/* Unix time that can't be set back: the wall clock is read once. */
static int64_t now(void)
{
    static int64_t start;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t runs = t.tv_sec * 1000LL + t.tv_nsec / 1000000;
    if (!start) start = time(NULL) * 1000LL - runs;
    return start + runs;
}

/* ---- the store */

static struct item **place(const char *key, size_t size)
{
    uint32_t hash = 2166136261u;
    for (size_t n = 0; n < size; n++) hash = (hash ^ (uint8_t)key[n]) * 16777619u;
    struct item **at = &table[hash % BUCKETS];
    while (*at && ((*at)->key != size || memcmp((*at)->data, key, size))) at = &(*at)->next;
    return at;
}

static void forget(struct item *old)
{
    *place(old->data, old->key) = old->next;
    *(old->newer ? &old->newer->older : &newest) = old->older;
    *(old->older ? &old->older->newer : &oldest) = old->newer;
    if (hand == old) hand = old->newer;
    used -= OVERHEAD + old->key + old->value;
    free(old);
}

static struct item *find(struct word key)
{
    if (now() >= flush_at) {
        while (oldest) forget(oldest);
        flush_at = INT64_MAX;
    }
    struct item *found = *place(key.at, key.size);
    if (!found || found->end > now()) return found;
    forget(found);
    return NULL;
}

/* SIEVE: the hand moves from old to new, clears marks, and stops at an item without one. */
static void evict(void)
{
    struct item *at = hand ? hand : oldest;
    while (at->visited) {
        at->visited = 0;
        at = at->newer ? at->newer : oldest;
    }
    hand = at;
    forget(at);
}

/* Stores key and value, made of two parts, in place of the old item. */
static void put(struct word key, uint32_t flags, int64_t end, struct word a, struct word b)
{
    size_t value = a.size + b.size;
    struct item *item = need(malloc(sizeof *item + key.size + value));
    *item = (struct item){ .end = end, .unique = ++unique, .flags = flags, .key = key.size, .value = value };
    memcpy(item->data, key.at, key.size);
    if (a.size) memcpy(item->data + key.size, a.at, a.size);
    if (b.size) memcpy(item->data + key.size + a.size, b.at, b.size);
    struct item *old = *place(key.at, key.size);
    if (old) forget(old);
    used += OVERHEAD + key.size + value;
    while (used > MAX_CACHE && oldest) evict();
    *place(key.at, key.size) = item;
    item->older = newest;
    *(newest ? &newest->newer : &oldest) = item;
    newest = item;
}

/* ---- replies, words and numbers */

static void append(struct bytes *b, const void *data, size_t size)
{
    if (b->used + size > b->room) {
        b->room = (b->used + size) * 2;
        b->at = need(realloc(b->at, b->room));
    }
    memcpy(b->at + b->used, data, size);
    b->used += size;
}

static void say(struct client *c, const char *text) { append(&c->out, text, strlen(text)); }

/* The next word of a line; false at its end. */
static int next(struct word *line, struct word *w)
{
    while (line->size && *line->at == ' ') line->at++, line->size--;
    w->at = line->at;
    while (line->size && *line->at != ' ') line->at++, line->size--;
    w->size = line->at - w->at;
    return w->size > 0;
}

static int is(struct word w, const char *text) { return w.size == strlen(text) && !memcmp(w.at, text, w.size); }

/* memcached reads numbers by C's functions, so we do: blanks and a sign may be in front, and a blank behind. A word ends
 * in a byte that isn't a digit: a space, a line end or a NUL. */
static int whole(struct word w, char *end)
{
    return !errno && end > w.at && (end == w.at + w.size || (end < w.at + w.size && isspace((uint8_t)*end)));
}

static int number(struct word w, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(w.at, &end, 10);
    return whole(w, end) && !(memchr(w.at, '-', w.size) && *out);
}

/* The expiry of an item with this exptime. */
static int exptime(struct word w, int64_t *end)
{
    char *stop;
    errno = 0;
    int32_t seconds = (int32_t)strtoll(w.at, &stop, 10);
    if (!whole(w, stop)) return 0;
    if (seconds == 0) *end = INT64_MAX;
    else if (seconds < 0) *end = 0;
    else if (seconds <= 60 * 60 * 24 * 30) *end = now() + seconds * 1000LL;
    else *end = seconds * 1000LL;
    return 1;
}

/* ---- the commands */

/* The words of a line: the name, at most seven more, and how many there are. */
struct command { struct word w[8]; int words, quiet; };

#define BAD "CLIENT_ERROR bad command line format\r\n"

static void answer(struct client *c, struct command *m, const char *text)
{
    if (!m->quiet) say(c, text);
}

/* A storage command. Returns the bytes that it took behind the line, -1 for more. */
static long store(struct client *c, struct command *m, char *value, size_t there)
{
    struct word *w = m->w, key = w[1], none = { NULL, 0 };
    uint64_t flags, size, cas = 0;
    int64_t end;
    int swap = is(w[0], "cas");
    if (key.size > MAX_KEY || !number(w[2], &flags) || !exptime(w[3], &end) || !number(w[4], &size) ||
        size > INT32_MAX - 2 || (swap && !number(w[5], &cas))) {
        answer(c, m, BAD);
        return 0;
    }
    struct item *old = find(key);
    if (key.size + size > MAX_ITEM) {
        answer(c, m, "SERVER_ERROR object too large for cache\r\n");
        if (old && is(w[0], "set")) forget(old);
        c->skip = size + 2;
        return 0;
    }
    if (there < size + 2) return -1;
    if (memcmp(value + size, "\r\n", 2)) {
        answer(c, m, "CLIENT_ERROR bad data chunk\r\n");
        return size + 2;
    }
    struct word new = { value, size };
    int before = is(w[0], "prepend"), joins = before || is(w[0], "append");
    int stored = is(w[0], "add") ? !old : is(w[0], "replace") || joins ? old != NULL : 1;
    if (joins && old && key.size + old->value + size > MAX_ITEM) stored = 0;
    if (swap && !old) {
        answer(c, m, "NOT_FOUND\r\n");
    } else if (swap && old->unique != cas) {
        answer(c, m, "EXISTS\r\n");
    } else if (!stored) {
        answer(c, m, "NOT_STORED\r\n");
    } else if (joins) {
        struct word was = { old->data + old->key, old->value };
        put(key, old->flags, old->end, before ? new : was, before ? was : new);
        answer(c, m, "STORED\r\n");
    } else {
        put(key, flags, end, new, none);
        answer(c, m, "STORED\r\n");
    }
    return size + 2;
}

/* get and gets; gat and gats with a new exptime. The line is read on behind the name and the time. */
static void get(struct client *c, struct word line, int with_unique, int64_t *end)
{
    struct word key;
    size_t before = c->out.used;
    while (next(&line, &key)) {
        if (key.size > MAX_KEY) {
            c->out.used = before;
            say(c, BAD);
            return;
        }
        struct item *item = find(key);
        if (!item) continue;
        char head[64];
        item->visited = 1;
        if (end) item->end = *end;
        say(c, "VALUE ");
        append(&c->out, item->data, item->key);
        append(&c->out, head, sprintf(head, " %u %u", item->flags, item->value));
        if (with_unique) append(&c->out, head, sprintf(head, " %llu", (unsigned long long)item->unique));
        say(c, "\r\n");
        append(&c->out, item->data + item->key, item->value);
        say(c, "\r\n");
    }
    say(c, "END\r\n");
}

static void count_by(struct client *c, struct command *m, int up)
{
    uint64_t amount, value;
    char text[MAX_KEY * 2], digits[24];
    struct item *item = find(m->w[1]);
    if (m->w[1].size > MAX_KEY) return answer(c, m, BAD);
    if (!number(m->w[2], &amount)) return answer(c, m, "CLIENT_ERROR invalid numeric delta argument\r\n");
    if (!item) return answer(c, m, "NOT_FOUND\r\n");
    /* A copy with a NUL behind it, for strtoull. Bytes behind a blank are ignored. */
    size_t size = item->value < sizeof text ? item->value : sizeof text - 1;
    memcpy(text, item->data + item->key, size);
    text[size] = 0;
    struct word number_in = { text, strspn(text, "\t\n\v\f\r ") };
    number_in.size += strcspn(text + number_in.size, "\t\n\v\f\r ");
    if (!number(number_in, &value))
        return answer(c, m, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
    value = up ? value + amount : value > amount ? value - amount : 0;
    size_t length = sprintf(digits, "%llu", (unsigned long long)value);
    if (length <= item->value) {
        memset(item->data + item->key, ' ', item->value);
        memcpy(item->data + item->key, digits, length);
        item->unique = ++unique;
    } else {
        put(m->w[1], item->flags, item->end, (struct word){ digits, length }, (struct word){ NULL, 0 });
    }
    strcpy(digits + length, "\r\n");
    answer(c, m, digits);
}

static void touch(struct client *c, struct command *m)
{
    int64_t end;
    if (!exptime(m->w[2], &end)) return answer(c, m, "CLIENT_ERROR invalid exptime argument\r\n");
    if (m->w[1].size > MAX_KEY) return answer(c, m, BAD);
    struct item *item = find(m->w[1]);
    if (item) item->end = end;
    answer(c, m, item ? "TOUCHED\r\n" : "NOT_FOUND\r\n");
}

static void delete(struct client *c, struct command *m)
{
    int more = m->words - 2 - m->quiet;
    if (m->w[1].size > MAX_KEY) return answer(c, m, BAD);
    if (more > 1 || (more == 1 && !is(m->w[2], "0")))
        return answer(c, m, "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n");
    struct item *item = find(m->w[1]);
    answer(c, m, item ? "DELETED\r\n" : "NOT_FOUND\r\n");
    if (item) forget(item);
}

static void flush(struct client *c, struct command *m)
{
    int64_t end = INT64_MAX, time = now();
    if (m->words - m->quiet > 1 && !exptime(m->w[1], &end))
        return answer(c, m, "CLIENT_ERROR invalid exptime argument\r\n");
    /* 0 and less than 0 are now; a past date is older than all items. */
    if (end == INT64_MAX || end == 0) flush_at = time;
    else flush_at = end > time ? end : INT64_MAX;
    answer(c, m, "OK\r\n");
}

enum { STORE, GET, GAT, INCR, DECR, TOUCH, DELETE, FLUSH, VERBOSITY, VERSION, MN, QUIT, SHUTDOWN };

/* The fewest and the most words of a line, and whether noreply may be the last. */
static const struct { const char *name; int command, from, to, noreply; } COMMANDS[] = {
    { "set", STORE, 5, 6, 1 },       { "add", STORE, 5, 6, 1 },       { "replace", STORE, 5, 6, 1 },
    { "append", STORE, 5, 6, 1 },    { "prepend", STORE, 5, 6, 1 },   { "cas", STORE, 6, 7, 1 },
    { "get", GET, 2, MAX_GET, 0 },   { "gets", GET, 2, MAX_GET, 0 },  { "gat", GAT, 2, MAX_GET, 0 },
    { "gats", GAT, 2, MAX_GET, 0 },  { "incr", INCR, 3, 4, 1 },       { "decr", DECR, 3, 4, 1 },
    { "touch", TOUCH, 3, 4, 1 },     { "delete", DELETE, 2, 4, 1 },   { "flush_all", FLUSH, 1, 3, 1 },
    { "verbosity", VERBOSITY, 2, 3, 1 }, { "version", VERSION, 1, MAX_GET, 0 }, { "mn", MN, 1, MAX_GET, 0 },
    { "quit", QUIT, 1, MAX_GET, 0 }, { "shutdown", SHUTDOWN, 1, MAX_GET, 0 },
};

/* Takes one command from the front: how many bytes it used, or 0 when it isn't whole. */
static size_t step(struct client *c, char *in, size_t there)
{
    if (c->skip) {
        size_t gone = c->skip < there ? c->skip : there;
        c->skip -= gone;
        return gone;
    }
    char *end = memchr(in, '\n', there);
    if (!end) {
        size_t spaces = 0;
        while (spaces < there && in[spaces] == ' ') spaces++;
        int gets = spaces <= 100 && there - spaces > 5 &&
                   (!memcmp(in + spaces, "get ", 4) || !memcmp(in + spaces, "gets ", 5));
        if (there > (gets ? MAX_GET : MAX_LINE)) c->closing = 1;
        return 0;
    }
    size_t size = end - in, taken = size + 1;
    if (size && in[size - 1] == '\r') size--;
    char *nul = memchr(in, 0, size);
    struct word line = { in, nul ? (size_t)(nul - in) : size }, rest, w;
    struct command m = { .words = 0 };
    rest = line;
    while (next(&rest, &w)) {
        if (m.words < 8) m.w[m.words] = w;
        m.words++;
    }
    int known = -1;
    for (int n = 0; m.words && n < (int)(sizeof COMMANDS / sizeof *COMMANDS); n++)
        if (is(m.w[0], COMMANDS[n].name) && m.words >= COMMANDS[n].from && m.words <= COMMANDS[n].to) known = n;
    if (known < 0) {
        say(c, "ERROR\r\n");
        return taken;
    }
    m.quiet = COMMANDS[known].noreply && is(m.w[m.words - 1], "noreply");
    uint64_t level;
    int64_t time;
    long more;
    rest = line;
    next(&rest, &w);
    switch (COMMANDS[known].command) {
    case STORE:
        more = store(c, &m, in + taken, there - taken);
        return more < 0 ? 0 : taken + more;
    case GET: get(c, rest, is(w, "gets"), NULL); break;
    case GAT:
        if (!exptime(m.w[1], &time)) {
            say(c, "CLIENT_ERROR invalid exptime argument\r\n");
            break;
        }
        m.quiet = is(w, "gats");
        next(&rest, &w);
        get(c, rest, m.quiet, &time);
        break;
    case INCR: count_by(c, &m, 1); break;
    case DECR: count_by(c, &m, 0); break;
    case TOUCH: touch(c, &m); break;
    case DELETE: delete(c, &m); break;
    case FLUSH: flush(c, &m); break;
    case VERBOSITY: answer(c, &m, number(m.w[1], &level) ? "OK\r\n" : BAD); break;
    case VERSION: say(c, "VERSION 0.1.0\r\n"); break;
    case MN: say(c, "MN\r\n"); break;
    case QUIT: c->closing = 1; break;
    case SHUTDOWN: say(c, "ERROR: shutdown not enabled\r\n"); break;
    }
    return taken;
}

/* ---- connections */

/* Sends waiting output. False when the connection is broken. */
static int send_out(struct client *c)
{
    size_t done = 0;
    while (done < c->out.used) {
        ssize_t sent = write(c->fd, c->out.at + done, c->out.used - done);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) return 0;
        if (sent < 0) break;
        done += sent;
    }
    if (done) memmove(c->out.at, c->out.at + done, c->out.used - done);
    c->out.used -= done;
    return 1;
}

/* Reads once, then answers until a command isn't whole or the client doesn't read its answers. */
static int turn(struct client *c)
{
    static char some[1 << 16];
    if (c->out.used && !send_out(c)) return 0;
    if (c->out.used) return 1;
    ssize_t got = read(c->fd, some, sizeof some);
    if (got < 0 && errno != EAGAIN && errno != EINTR) return 0;
    if (got > 0) append(&c->in, some, got);
    c->ended |= got == 0;
    size_t done = 0, gone = 1;
    while (gone && !c->out.used) {
        gone = 0;
        while (!c->closing && c->out.used < SEND_AT && done < c->in.used &&
               (gone = step(c, c->in.at + done, c->in.used - done)))
            done += gone;
        if (!send_out(c)) return 0;
    }
    if (done) memmove(c->in.at, c->in.at + done, c->in.used - done);
    c->in.used -= done;
    return c->out.used || !(c->ended || c->closing);
}

int main(int argc, char **argv)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128)) {
        perror("server");
        return 1;
    }
    getsockname(listener, (struct sockaddr *)&at, &size);
    printf("listening on memcached 127.0.0.1:%d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        static struct pollfd polled[MAX_CLIENTS + 1];
        for (int n = 0; n < count; n++)
            polled[n] = (struct pollfd){ clients[n].fd, clients[n].out.used ? POLLOUT : POLLIN, 0 };
        polled[count] = (struct pollfd){ listener, POLLIN, 0 };
        poll(polled, count + 1, -1);
        int new = polled[count].revents ? accept(listener, NULL, NULL) : -1;
        for (int n = count - 1; n >= 0; n--) {
            struct client *c = &clients[n];
            if (!polled[n].revents || turn(c)) continue;
            close(c->fd);
            free(c->in.at);
            free(c->out.at);
            *c = clients[--count];
        }
        if (new >= 0 && count == MAX_CLIENTS) {
            close(new);
        } else if (new >= 0) {
            fcntl(new, F_SETFL, O_NONBLOCK);
            clients[count++] = (struct client){ .fd = new };
        }
    }
}
