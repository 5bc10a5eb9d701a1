/* http_none.c - in the place of http.c where there is no libmicrohttpd. */
#include "http.h"

#include "log.h"

bool bcfs_http_open(struct bcfs *fs, struct bcfs_http **http)
{
    *http = NULL;
    if (fs->options.http == NULL) return true;
    bcfs_log(BCFS_LOG_ERROR,
             "-o http=%s: this bitcaskfs was built without libmicrohttpd; read .bitcask/metrics instead",
             fs->options.http);
    return false;
}

bool bcfs_http_start(struct bcfs_http *http)
{
    (void)http;
    return true;
}

void bcfs_http_close(struct bcfs_http **http)
{
    *http = NULL;
}
