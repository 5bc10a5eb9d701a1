/* http.h - /metrics, /healthz, /readyz and a page over HTTP, where -o http= asks for it.
 *
 * Read-only, and for this machine alone unless -o http_foreign says otherwise. One thread answers one request after
 * another, from figures that are gathered anew; it takes no lock that a handler of the mount would wait for but for
 * moments. Clients are bounded: in number, in what their headers may take, and in time, however slowly they send or
 * read. Needs libmicrohttpd; without it (http_none.c) the option is refused.
 *
 *   GET /metrics      Prometheus' text, as in .bitcask/metrics
 *   GET /healthz      200 with the text of .bitcask/health; 503 where a partition is poisoned
 *   GET /readyz       200 while the mount answers; 503 once it comes to its end
 *   GET /             the page: one file, nothing from elsewhere
 *   GET /stats.json   what the page draws
 */
#ifndef BCFS_HTTP_H
#define BCFS_HTTP_H

#include "fs.h"

struct bcfs_http;

/* Listens, if fs->options says so; else *http is NULL. Nobody is answered yet. False after a line that says why. */
bool bcfs_http_open(struct bcfs *fs, struct bcfs_http **http);

/* Begins to answer, after bcfs_start(). http may be NULL. False after a line. */
bool bcfs_http_start(struct bcfs_http *http);

/* Ends it, before bcfs_stop(): a request at work is answered or dropped. */
void bcfs_http_close(struct bcfs_http **http);

#endif
