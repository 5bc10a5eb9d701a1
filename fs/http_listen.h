/* http_listen.h - the address that -o http= names, and a socket that listens there.
 */
#ifndef BCFS_HTTP_LISTEN_H
#define BCFS_HTTP_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

struct bcfs_http_address {
    struct sockaddr_storage address;
    socklen_t size;
};

/* Reads "PORT", "ADDRESS:PORT", "localhost:PORT" or "[IPV6]:PORT". Without foreign only addresses of this machine's own
 * loopback are taken. False after a line that says what is wrong. */
bool bcfs_http_address_parse(const char *text, bool foreign, struct bcfs_http_address *address);

/* Listens there; -1 after a line that says why not. text: as given, for the message. */
int bcfs_http_listen(const char *text, const struct bcfs_http_address *address);

/* Whether a Host header of a client names this machine by its number, or localhost: another name means that somebody's
 * page had a browser ask here for what it must not see. NULL: none was sent. */
bool bcfs_http_host_is_plain(const char *host);

#endif
