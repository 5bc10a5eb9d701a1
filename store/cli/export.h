/* export.h - the forms in which a partition is written to standard output.
 */
#ifndef CLI_EXPORT_H
#define CLI_EXPORT_H

#include "item.h"

/* What is wrong with what was given to the output. */
enum cli_export_result {
    CLI_EXPORT_OK,
    CLI_EXPORT_LEFT_OUT, /* this item, which was told; others can follow */
    CLI_EXPORT_ENDED     /* nothing more can be written: told, or a signal, or a reader that went away */
};

struct cli_export_form {
    /* Begins. Returns the form's own memory; NULL: failed, and told. */
    void *(*open)(const char *store);

    /* Writes one item. value: pinned; NULL: it is a partition, or another name. *status: what the value came to. */
    enum cli_export_result (*add)(void *form, const struct cli_item *item, bitcask_value *value,
                                  bitcask_status *status);

    /* Ends, whole or not, and frees it. Returns an exit status. */
    int (*close)(void *form, bool whole);
};

extern const struct cli_export_form cli_export_tar;

#endif
