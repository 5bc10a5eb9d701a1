/* http.c - see http.h.
 *
 * libmicrohttpd is driven from our own thread, so that what it does not bound can be bounded here: it counts a client
 * as busy as long as a byte comes now and then. Each connection has a deadline by which its request must be answered,
 * and is shut down behind it. All that stands in struct bcfs_http is of that thread alone while it runs.
 */
#include "http.h"

#include "http_listen.h"
#include "log.h"
#include "metrics.h"
#include "page.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    CLIENTS = 16,
    IDLE_S = 10,        /* without a byte */
    REQUEST_MS = 20000, /* from the connection, or the last answer, to the end of the next one */
    MEMORY = 16 * 1024, /* of a connection; headers beyond are refused */
    LOOK_MS = 500       /* how often deadlines are looked at */
};

struct client {
    int fd; /* -1: the place is free */
    int64_t deadline_ms;
};

struct bcfs_http {
    struct bcfs *fs;
    struct MHD_Daemon *daemon;
    int wake_fd; /* written to end the thread */
    bool running;
    pthread_t thread;
    struct client clients[CLIENTS];
};

/* ---- clients ---- */

static void note_connection(void *context, struct MHD_Connection *connection, void **place,
                            enum MHD_ConnectionNotificationCode what)
{
    struct bcfs_http *http = context;
    const union MHD_ConnectionInfo *info = NULL;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) { /* before the socket is closed, so its number is nobody else's yet */
        if (*place != NULL) ((struct client *)*place)->fd = -1;
        *place = NULL;
        return;
    }
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    for (unsigned i = 0; info != NULL && i < CLIENTS && *place == NULL; i++) {
        if (http->clients[i].fd >= 0) continue;
        http->clients[i] = (struct client){.fd = info->connect_fd, .deadline_ms = bcfs_clock_ms() + REQUEST_MS};
        *place = &http->clients[i];
    }
}

static void note_answered(void *context, struct MHD_Connection *connection, void **request,
                          enum MHD_RequestTerminationCode how)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    (void)context;
    (void)request;
    (void)how;
    if (info != NULL && info->socket_context != NULL)
        ((struct client *)info->socket_context)->deadline_ms = bcfs_clock_ms() + REQUEST_MS;
}

/* Those who are late see the end of the connection; libmicrohttpd sees it too, and clears away. */
static void drop_late_clients(struct bcfs_http *http)
{
    int64_t now_ms = bcfs_clock_ms();

    for (unsigned i = 0; i < CLIENTS; i++) {
        if (http->clients[i].fd < 0 || now_ms < http->clients[i].deadline_ms) continue;
        (void)shutdown(http->clients[i].fd, SHUT_RDWR);
    }
}

/* ---- answers ---- */

/* Takes text, malloc'ed, over; NULL: there was no memory for it. */
static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status, const char *type, char *text,
                             size_t size)
{
    struct MHD_Response *response = NULL;
    enum MHD_Result result = MHD_NO;

    if (text == NULL) {
        text = strdup("out of memory\n");
        if (text == NULL) return MHD_NO;
        status = MHD_HTTP_INTERNAL_SERVER_ERROR;
        type = "text/plain; charset=utf-8";
        size = strlen(text);
    }
    response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES &&
        MHD_add_response_header(response, "Content-Security-Policy",
                                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                                "connect-src 'self'; img-src data:; frame-ancestors 'none'") == MHD_YES &&
        (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
         MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES)) {
        result = MHD_queue_response(connection, status, response);
    }
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result reply_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
    return reply(connection, status, "text/plain; charset=utf-8", strdup(text), strlen(text));
}

static enum MHD_Result reply_health(struct bcfs *fs, struct MHD_Connection *connection)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    enum bcfs_health health = BCFS_HEALTH_OK;

    if (out == NULL) return MHD_NO;
    health = bcfs_health(fs, fs->nodes->root, out);
    if (fclose(out) != 0) {
        free(text);
        text = NULL;
    }
    return reply(connection, health == BCFS_HEALTH_POISONED ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK,
                 "text/plain; charset=utf-8", text, size);
}

static enum MHD_Result reply_path(struct bcfs *fs, struct MHD_Connection *connection, const char *path)
{
    size_t size = 0;

    if (strcmp(path, "/") == 0)
        return reply(connection, MHD_HTTP_OK, "text/html; charset=utf-8", strdup(bcfs_page), strlen(bcfs_page));
    if (strcmp(path, "/readyz") == 0)
        return atomic_load(&fs->ending) ? reply_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "ending\n")
                                        : reply_text(connection, MHD_HTTP_OK, "ready\n");
    if (strcmp(path, "/healthz") == 0) return reply_health(fs, connection);
    if (strcmp(path, "/metrics") == 0) {
        char *text = bcfs_metrics_render(fs, fs->nodes->root, &size);
        return reply(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, size);
    }
    if (strcmp(path, "/stats.json") == 0) {
        char *text = bcfs_stats_page(fs, &size);
        return reply(connection, MHD_HTTP_OK, "application/json", text, size);
    }
    return reply_text(connection, MHD_HTTP_NOT_FOUND,
                      "Not found. There are /, /metrics, /healthz, /readyz and /stats.json.\n");
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **request)
{
    const struct bcfs_http *http = context;

    (void)version;
    (void)upload;
    (void)upload_size;
    (void)request;
    /* At once, be there a body to follow or not: libmicrohttpd then closes the connection behind the answer, so that
     * none of the few places is held by somebody who only might ask again. */
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return reply_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET and HEAD are understood.\n");
    if (!http->fs->options.http_foreign &&
        !bcfs_http_host_is_plain(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST)))
        return reply_text(connection, MHD_HTTP_FORBIDDEN,
                          "Ask by number, as in http://127.0.0.1:9464/, or as localhost.\n");
    return reply_path(http->fs, connection, path);
}

/* Paths count as they are sent: none of ours has anything to be decoded, and a NUL would end one. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* ---- life ---- */

static void *serve(void *context)
{
    struct bcfs_http *http = context;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd fds[2] = {{.fd = info != NULL ? info->epoll_fd : -1, .events = POLLIN},
                            {.fd = http->wake_fd, .events = POLLIN}};

    while (fds[1].revents == 0) {
        MHD_UNSIGNED_LONG_LONG wait_ms = LOOK_MS;

        if (MHD_get_timeout(http->daemon, &wait_ms) != MHD_YES || wait_ms > LOOK_MS) wait_ms = LOOK_MS;
        (void)poll(fds, 2, (int)wait_ms);
        (void)MHD_run(http->daemon);
        drop_late_clients(http);
    }
    return NULL;
}

bool bcfs_http_open(struct bcfs *fs, struct bcfs_http **http)
{
    struct bcfs_http *made = NULL;
    struct bcfs_http_address address;
    int fd = -1;

    *http = NULL;
    if (fs->options.http == NULL) return true;
    if (!bcfs_http_address_parse(fs->options.http, fs->options.http_foreign, &address)) return false;
    fd = bcfs_http_listen(fs->options.http, &address);
    if (fd < 0) return false;
    made = calloc(1, sizeof *made);
    if (made != NULL) {
        made->fs = fs;
        for (unsigned i = 0; i < CLIENTS; i++) made->clients[i].fd = -1;
        made->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        made->daemon = MHD_start_daemon(
            MHD_USE_EPOLL, 0, NULL, NULL, answer, made, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
            (unsigned)CLIENTS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
            (size_t)MEMORY, MHD_OPTION_NOTIFY_CONNECTION, note_connection, made, MHD_OPTION_NOTIFY_COMPLETED,
            note_answered, NULL, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_END);
    }
    if (made == NULL || made->daemon == NULL || made->wake_fd < 0) {
        bcfs_log(BCFS_LOG_ERROR, "-o http=%s: the server cannot be set up: %s", fs->options.http, strerror(errno));
        if (made == NULL || made->daemon == NULL) close(fd);
        bcfs_http_close(&made);
        return false;
    }
    *http = made;
    return true;
}

bool bcfs_http_start(struct bcfs_http *http)
{
    sigset_t all;
    sigset_t old;
    int error = 0;

    if (http == NULL) return true;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&http->thread, NULL, serve, http);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    http->running = error == 0;
    if (error != 0) bcfs_log(BCFS_LOG_ERROR, "-o http: cannot start a thread: %s", strerror(error));
    return error == 0;
}

void bcfs_http_close(struct bcfs_http **pointer)
{
    struct bcfs_http *http = *pointer;
    const uint64_t one = 1;

    if (http == NULL) return;
    *pointer = NULL;
    if (http->running) {
        while (write(http->wake_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
        (void)pthread_join(http->thread, NULL);
    }
    if (http->daemon != NULL) MHD_stop_daemon(http->daemon);
    if (http->wake_fd >= 0) close(http->wake_fd);
    free(http);
}
