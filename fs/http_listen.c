/* http_listen.c - see http_listen.h. */
#include "http_listen.h"

#include "log.h"
#include "number.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 16, HOST_SIZE = 64 };

/* Splits at the last colon; host without brackets, "" if there is none. */
static bool split(const char *text, char host[HOST_SIZE], const char **port)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    bool brackets = size >= 2 && text[0] == '[' && text[size - 1] == ']';

    *port = colon == NULL ? text : colon + 1;
    if (size >= HOST_SIZE || (!brackets && memchr(text, ':', size) != NULL)) return false;
    memcpy(host, text + (brackets ? 1 : 0), size - (brackets ? 2 : 0));
    host[size - (brackets ? 2 : 0)] = '\0';
    return colon == NULL || size > 0;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

bool bcfs_http_address_parse(const char *text, bool foreign, struct bcfs_http_address *address)
{
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&address->address;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&address->address;
    char host[HOST_SIZE];
    const char *port = NULL;
    uint64_t number = 0;

    memset(address, 0, sizeof *address);
    if (!split(text, host, &port) || !bcfs_parse_number(port, false, 1, 65535, &number)) {
        bcfs_log(BCFS_LOG_ERROR, "-o http=%s: must be an address and a port, such as 127.0.0.1:9464 or [::1]:9464",
                 text);
        return false;
    }
    if (host[0] == '\0' || strcmp(host, "localhost") == 0) strcpy(host, "127.0.0.1");
    if (inet_pton(AF_INET, host, &ipv4->sin_addr) == 1) {
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons((uint16_t)number);
        address->size = sizeof *ipv4;
    } else if (inet_pton(AF_INET6, host, &ipv6->sin6_addr) == 1) {
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons((uint16_t)number);
        address->size = sizeof *ipv6;
    } else {
        bcfs_log(BCFS_LOG_ERROR, "-o http=%s: %s is no address in numbers, as 127.0.0.1 is, nor localhost", text, host);
        return false;
    }
    if (!foreign && !is_loopback(&address->address)) {
        bcfs_log(BCFS_LOG_ERROR,
                 "-o http=%s: others could read the figures and directories' names there: use 127.0.0.1, or add -o "
                 "http_foreign",
                 text);
        return false;
    }
    return true;
}

int bcfs_http_listen(const char *text, const struct bcfs_http_address *address)
{
    int yes = 1;
    int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    /* A port whose last user's connections are just going away can be had; one that is in use cannot. */
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind(fd, (const struct sockaddr *)&address->address, address->size) == 0 && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    if (errno == EADDRINUSE) {
        bcfs_log(BCFS_LOG_ERROR, "-o http=%s: the port is in use, by another mount perhaps: give this one its own",
                 text);
    } else {
        bcfs_log(BCFS_LOG_ERROR, "-o http=%s: cannot listen there: %s", text, strerror(errno));
    }
    if (fd >= 0) close(fd);
    return -1;
}

bool bcfs_http_host_is_plain(const char *host)
{
    char copy[HOST_SIZE];
    struct in6_addr number;
    char *end = NULL;

    if (host == NULL) return true; /* no browser */
    if (strlen(host) >= sizeof copy) return false;
    strcpy(copy, host);
    if (copy[0] == '[') {
        end = strchr(copy, ']');
        if (end == NULL) return false;
        *end = '\0';
        return inet_pton(AF_INET6, copy + 1, &number) == 1;
    }
    copy[strcspn(copy, ":")] = '\0';
    return strcmp(copy, "localhost") == 0 || inet_pton(AF_INET, copy, &number) == 1;
}
